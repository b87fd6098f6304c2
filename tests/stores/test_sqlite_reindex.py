"""New vectors for a file: the table beside the memories follows every write, and nothing of it stays."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from memrouter.config.memory import SqliteSettings
from memrouter.errors import SchemaMismatch, StoreUnavailable
from memrouter.models.memory import Matrix
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.query import Change, MergeMode
from memrouter.stores.reindexing import Text
from memrouter.stores.sqlite.reindex import SqliteReindexing
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import RecordFactory, text_vector

NEW = EmbeddingSpace("new-model", 24)


def vectors_of(texts: list[str]) -> Matrix:
    return np.array([text_vector(f"new\0{text}", NEW.dimension) for text in texts])


def schema(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name FROM sqlite_master ORDER BY name").fetchall()


async def opened(path: Path, *, target: EmbeddingSpace = NEW) -> SqliteReindexing:
    return await SqliteReindexing.open(SqliteSettings(path=str(path), synchronous="normal"), target=target)


@pytest.fixture
async def reindexing(store: SqliteStore, path: Path) -> AsyncIterator[SqliteReindexing]:
    """One of a file that routers have made."""
    reindexing = await opened(path)
    yield reindexing
    await reindexing.aclose()


async def fill(reindexing: SqliteReindexing) -> int:
    kept = 0
    async for batch in reindexing.pending(step=10):
        kept += await reindexing.put(batch.texts, vectors_of([text.content for text in batch.texts]))
    return kept


async def test_the_file_has_its_usual_tables_when_all_is_done(
    store: SqliteStore, make: RecordFactory, reindexing: SqliteReindexing, path: Path
) -> None:
    await store.create(make.many(25))
    before = schema(path)
    assert await reindexing.begin()
    assert ("table", "reindex") in schema(path)
    assert await fill(reindexing) == 25
    await reindexing.seal()
    assert await reindexing.switch() == 25
    await reindexing.finish()
    assert schema(path) == before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT DISTINCT length(embedding) FROM memories").fetchall() == [(96,)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        names = dict(connection.execute("SELECT name, value FROM meta"))
    assert (names["embedding_model"], names["dimension"]) == ("new-model", "24")
    assert not any(name.startswith("reindex") for name in names)


async def test_the_old_vectors_are_nowhere_in_the_file_afterwards(
    store: SqliteStore, make: RecordFactory, reindexing: SqliteReindexing, path: Path
) -> None:
    records = make.many(10)
    await store.create(records)
    await store.aclose()
    old = [record.embedding.astype("<f4").tobytes() for record in records]
    assert all(vector in path.read_bytes() for vector in old)
    await reindexing.begin()
    await fill(reindexing)
    assert await reindexing.switch() == 10
    await reindexing.aclose()
    assert not any(vector in path.read_bytes() for vector in old)


async def test_a_switch_that_would_leave_one_behind_changes_nothing(
    store: SqliteStore, make: RecordFactory, reindexing: SqliteReindexing
) -> None:
    await store.create(make.many(3))
    await reindexing.begin()
    await fill(reindexing)
    late = make.make()
    await store.create([late])
    assert await reindexing.switch() is None
    survey = await reindexing.survey()
    assert (survey.kept, survey.memories, survey.made) == (EmbeddingSpace("test-model", 16), 4, 3)
    assert await fill(reindexing) == 1
    assert await reindexing.switch() == 4


async def test_a_replaced_memory_needs_a_vector_again(
    store: SqliteStore, make: RecordFactory, reindexing: SqliteReindexing
) -> None:
    records = make.many(3)
    await store.create(records)
    await reindexing.begin()
    await fill(reindexing)
    await store.merge([records[1]], mode=MergeMode.REPLACE)
    assert (await reindexing.survey()).made == 2


async def test_a_memory_that_a_change_rewrote_needs_a_vector_again_unless_its_text_stayed(
    store: SqliteStore, make: RecordFactory, reindexing: SqliteReindexing
) -> None:
    kept, rewritten, removed = make.many(3)
    await store.create([kept, rewritten, removed])
    await reindexing.begin()
    await fill(reindexing)
    put = [replace(kept, pinned=True, superseded_by="m9"), replace(rewritten, content="new"), make.make()]
    assert await store.commit(Change("alice", 1, put=put, remove=frozenset({removed.id}))) == 2
    assert (await reindexing.survey()).made == 1
    assert await fill(reindexing) == 2
    assert await reindexing.switch() == 3


async def test_vectors_that_do_not_fit_are_refused_whole(
    store: SqliteStore, make: RecordFactory, reindexing: SqliteReindexing
) -> None:
    await store.create(make.many(2))
    await reindexing.begin()
    (batch,) = [batch async for batch in reindexing.pending(step=10)]
    good = vectors_of([text.content for text in batch.texts])
    broken = good.copy()
    broken[1] *= np.nan
    for vectors in (good[:, :16], good * 2, broken):
        with pytest.raises(SchemaMismatch):
            await reindexing.put(batch.texts, vectors)
    assert (await reindexing.survey()).made == 0


async def test_nothing_is_done_to_a_file_whose_reindex_was_ended_elsewhere(
    store: SqliteStore, make: RecordFactory, reindexing: SqliteReindexing, path: Path
) -> None:
    await store.create(make.many(2))
    await reindexing.begin()
    other = await opened(path)
    assert await other.abandon()
    await other.aclose()
    texts = [Text("1", "fact number 1")]
    for work in (
        lambda: reindexing.put(texts, vectors_of(["fact number 1"])),
        reindexing.seal,
        reindexing.switch,
        lambda: anext(reindexing.pending(step=10)),
    ):
        with pytest.raises(StoreUnavailable, match="ended by another process"):
            await work()


async def test_a_file_that_is_not_there_is_not_made(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="there is no memory database"):
        await opened(path)
    assert not path.exists()


async def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    with pytest.raises(SchemaMismatch, match="another program"):
        await opened(path)


async def test_an_empty_file_takes_the_new_model_at_once(path: Path) -> None:
    path.touch()
    reindexing = await opened(path)
    assert not await reindexing.begin()
    survey = await reindexing.survey()
    assert (survey.kept, survey.under_way, survey.memories) == (NEW, None, 0)
    await reindexing.aclose()
