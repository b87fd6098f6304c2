"""Which files are taken, which are refused, and that a refused one is left alone."""

import sqlite3
import stat
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.errors import SchemaMismatch
from memrouter.models.memory import Scope
from memrouter.stores.query import Filter, Patch
from memrouter.stores.sqlite.schema import APPLICATION_ID, VERSION
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import RecordFactory


def execute(path: Path, *statements: str) -> list[object]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements]


async def opened(path: Path, *, dimension: int = 16, model: str = "test-model") -> None:
    store = await SqliteStore.open(SqliteSettings(path=str(path)), dimension=dimension, embedding_model=model)
    await store.aclose()


async def refused(path: Path, words: Sequence[str], *, dimension: int = 16, model: str = "test-model") -> None:
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch) as caught:
        await opened(path, dimension=dimension, model=model)
    for word in (str(path), *words):
        assert word in str(caught.value)
    assert path.read_bytes() == before


async def test_a_new_file_carries_the_mark_and_the_version(path: Path) -> None:
    await opened(path)
    (application, version, mode) = execute(path, "PRAGMA application_id", "PRAGMA user_version", "PRAGMA journal_mode")
    assert (application, version, mode) == ([(APPLICATION_ID,)], [(VERSION,)], [("wal",)])


async def test_only_this_user_can_read_a_new_file(store: SqliteStore, make: RecordFactory, path: Path) -> None:
    await store.create([make.make()])
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


async def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.touch()
    await opened(path)
    await opened(path)


async def test_a_strange_name_is_a_name(tmp_path: Path) -> None:
    for name in (":memory:", "file:a?mode=ro", "a b%20.db", "ü🧠.db"):
        await opened(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 0


async def test_the_database_of_another_program_is_refused(path: Path) -> None:
    execute(path, "CREATE TABLE notes (text)")
    await refused(path, ["another program", "sqlite.path"])


async def test_an_empty_database_with_another_programs_mark_is_refused(path: Path) -> None:
    execute(path, "PRAGMA application_id = 7")
    await refused(path, ["another program"])


async def test_a_newer_file_is_refused(path: Path) -> None:
    await opened(path)
    execute(path, f"PRAGMA user_version = {VERSION + 1}", "PRAGMA wal_checkpoint(TRUNCATE)")
    await refused(path, ["newer memrouter", "upgrade memrouter"])


@pytest.mark.parametrize(("dimension", "model"), [(16, "other-model"), (32, "test-model"), (32, "other-model")])
async def test_vectors_of_another_model_are_refused_with_both_ways_out(path: Path, dimension: int, model: str) -> None:
    await opened(path)
    ways_out = [
        "set global.stores.memory.embedding_model back to test-model",
        f"memrouter reindex --embedding-model {model}",
    ]
    named = ["test-model (16 numbers)", f"{model} ({dimension} numbers)"]
    with pytest.raises(SchemaMismatch) as caught:
        await opened(path, dimension=dimension, model=model)
    for words in (*ways_out, *named):
        assert words.lower() in str(caught.value).lower()
    await opened(path)


async def test_a_refused_file_is_left_as_it_was(path: Path) -> None:
    await opened(path)
    await refused(path, [], model="other-model")


async def test_the_word_index_agrees_with_the_memories_after_every_kind_of_write(
    store: SqliteStore, make: RecordFactory, path: Path
) -> None:
    records = make.many(20)
    await store.create(records)
    patch = Patch(updated_at=1, content="new", embedding=make.vector("new"), embedding_model="test-model")
    await store.update(Scope("alice"), records[3].id, patch)
    await store.update(Scope("alice"), records[4].id, Patch(updated_at=1, importance=0.1))
    await store.delete(Scope("alice"), Filter(ids=frozenset(record.id for record in records[5:9])))
    await store.aclose()
    execute(path, "INSERT INTO memories_fts (memories_fts, rank) VALUES ('integrity-check', 1)")
    assert execute(path, "PRAGMA integrity_check", "PRAGMA foreign_key_check") == [[("ok",)], []]
    assert execute(path, "SELECT count(*) FROM access WHERE memory NOT IN (SELECT key FROM memories)") == [[(0,)]]
