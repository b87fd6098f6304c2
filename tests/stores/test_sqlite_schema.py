"""Which files are taken, which are refused, and that a refused one is left alone."""

import sqlite3
import stat
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from memrouter.config.memory import SqliteSettings
from memrouter.errors import SchemaMismatch
from memrouter.models.memory import Scope
from memrouter.stores.query import Change, Filter, ListQuery, StoreQuery
from memrouter.stores.sqlite.compile import in_scope, visible
from memrouter.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS, VERSION
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.edits import edit
from memrouter.testing.records import NOW, RecordFactory, plain


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


VERSION_1_MEMORY = """INSERT INTO memories (owner, id, user_id, project_id, type, content, digest, source, trust,
    importance, created_at, updated_at, superseded_by, embedding)
    VALUES (1, ?, 'alice', 'default', 'episodic', ?, x'00', 'api', 'direct_user', 0.5, ?, ?, ?, ?)"""


def version_1(path: Path, make: RecordFactory) -> None:
    """Make a file as the first version left it: two memories, one of them superseded."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;")
        space = [("embedding_model", "test-model"), ("dimension", "16")]
        connection.executemany("INSERT INTO meta VALUES (?, ?)", space)
        connection.execute("INSERT INTO owners VALUES (1, ?, 7)", (Scope("alice").owner,))
        for memory_id, content, superseded_by in (("m1", "walrus", None), ("m2", "giraffe", "m1")):
            vector = make.vector(content).tobytes()
            connection.execute(VERSION_1_MEMORY, (memory_id, content, NOW, NOW, superseded_by, vector))
        connection.execute("INSERT INTO access VALUES (1, 3, ?)", (NOW,))


async def test_a_file_of_version_1_is_brought_up_to_date(tmp_path: Path, make: RecordFactory) -> None:
    path = tmp_path / "old.db"
    version_1(path, make)
    store = await SqliteStore.open(SqliteSettings(path=str(path)), dimension=16, embedding_model="test-model")
    alice, query = Scope("alice"), ListQuery(limit=9, now=NOW, include_superseded=True)
    second, first = (await store.list(alice, query)).records
    assert (first.content, first.access_count, first.quarantine, first.pinned) == ("walrus", 3, None, False)
    assert (second.superseded_by, second.links, second.history) == ("m1", (), ())
    changed = replace(first, content="seal", quarantine="instruction", pinned=True, links=("m2",))
    assert await store.commit(Change("alice", 7, put=[changed, replace(second, superseded_by=None)])) == 8
    for word, expected in (("walrus", []), ("seal", []), ("giraffe", ["m2"])):
        found = await store.search(alice, StoreQuery(vector=None, words=(word,), k=9, now=NOW))
        assert [record.id for record in found.records or ()] == expected
    (apart,) = (await store.list(alice, ListQuery(limit=9, now=NOW, quarantined=True))).records
    assert plain(apart) == plain(changed)
    assert await store.state.put("space", "key", b"", now=NOW) == 1
    await store.aclose()
    assert execute(path, "PRAGMA user_version", "PRAGMA integrity_check") == [[(VERSION,)], [("ok",)]]
    execute(path, "INSERT INTO memories_fts (memories_fts, rank) VALUES ('integrity-check', 1)")


async def test_an_old_file_and_a_new_one_have_the_same_tables(tmp_path: Path, make: RecordFactory) -> None:
    version_1(tmp_path / "old.db", make)
    tables = []
    for name in ("old.db", "new.db"):
        await opened(tmp_path / name)
        tables += execute(tmp_path / name, "SELECT name, sql FROM sqlite_master ORDER BY name")
    assert tables[0] == tables[1]


async def test_what_is_visible_is_counted_in_the_index_alone(path: Path) -> None:
    await opened(path)
    clause = in_scope(1, "default") & visible(NOW)
    with closing(sqlite3.connect(path)) as connection:
        statement = f"EXPLAIN QUERY PLAN SELECT 1 FROM memories AS m WHERE {clause.sql}"  # noqa: S608 - values apart
        plan = connection.execute(statement, clause.values).fetchall()
    assert "USING COVERING INDEX memories_newest" in plan[0][3]


async def test_the_word_index_agrees_with_the_memories_after_every_kind_of_write(
    store: SqliteStore, make: RecordFactory, path: Path
) -> None:
    records = make.many(20)
    await store.create(records)
    await edit(store, Scope("alice"), records[3].id, now=1, content="new")
    await edit(store, Scope("alice"), records[4].id, now=1, importance=0.1)
    await store.delete(Scope("alice"), Filter(ids=frozenset(record.id for record in records[5:9])))
    await store.aclose()
    execute(path, "INSERT INTO memories_fts (memories_fts, rank) VALUES ('integrity-check', 1)")
    assert execute(path, "PRAGMA integrity_check", "PRAGMA foreign_key_check") == [[("ok",)], []]
    assert execute(path, "SELECT count(*) FROM access WHERE memory NOT IN (SELECT key FROM memories)") == [[(0,)]]
