"""What is read in the event loop is what the reader's thread would say, or nothing."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.errors import SchemaMismatch, StoreUnavailable
from memrouter.models.memory import Scope, owner_key
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.query import StoreQuery
from memrouter.stores.sqlite.connection import connect
from memrouter.stores.sqlite.glance import SMALL_BYTES, Glance
from memrouter.stores.sqlite.rows import NEWEST_FIRST, SELECT, fetch
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import NOW, RecordFactory

SPACE = EmbeddingSpace("test", 8)


@pytest.fixture
def settings(tmp_path: Path) -> SqliteSettings:
    return SqliteSettings(path=str(tmp_path / "m.db"), synchronous="normal")


@pytest.fixture
async def store(settings: SqliteSettings) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(settings, dimension=8, embedding_model="test")
    yield opened
    await opened.aclose()


@pytest.fixture
def glance(store: SqliteStore, settings: SqliteSettings) -> Glance:
    return Glance(connect(Path(settings.path), synchronous="normal"), own=SPACE)


async def test_a_generation_is_seen_as_soon_as_the_write_returned(store: SqliteStore, glance: Glance) -> None:
    make, query = RecordFactory(store.capabilities), StoreQuery(vector=None, k=1, now=NOW, scan_limit=9)
    assert glance.generation(owner_key("alice")) == 0
    for number in range(3):
        await store.create([make.make(f"text {number}")])
        answer = await store.search(Scope("alice"), query)
        assert glance.generation(owner_key("alice")) == answer.generation
    assert glance.generation(owner_key("Alice")) == 0
    glance.close()


async def test_small_facts_are_seen_and_large_ones_left_to_the_thread(store: SqliteStore, glance: Glance) -> None:
    await store.state.put("space", "small", b"x" * SMALL_BYTES, now=1, expires_at=10)
    await store.state.put("space", "large", b"x" * (SMALL_BYTES + 1), now=1)
    small = glance.state("space", "small", now=2)
    assert small == (await store.state.get("space", "small", now=2),)
    assert small is not None
    assert small[0] is not None
    assert glance.state("space", "large", now=2) is None
    assert glance.state("space", "small", now=10) == glance.state("space", "absent", now=1) == (None,)
    large = await store.state.get("space", "large", now=2)
    assert large is not None
    assert len(large.value) == SMALL_BYTES + 1
    glance.close()


async def test_a_file_with_other_vectors_is_left_to_whoever_explains(
    store: SqliteStore, settings: SqliteSettings
) -> None:
    other = Glance(connect(Path(settings.path), synchronous="normal"), own=EmbeddingSpace("another", 8))
    assert other.generation(owner_key("alice")) is None
    assert other.state("space", "key", now=1) is None
    other.close()
    with sqlite3.connect(settings.path) as connection:
        connection.execute("UPDATE meta SET value = 'another' WHERE name = 'embedding_model'")
    connection.close()
    with pytest.raises(SchemaMismatch):
        await store.search(Scope("alice"), StoreQuery(vector=None, k=1, now=NOW, known_generation=0))


async def test_a_closed_store_says_so(settings: SqliteSettings) -> None:
    store = await SqliteStore.open(settings, dimension=8, embedding_model="test")
    await store.aclose()
    with pytest.raises(StoreUnavailable):
        await store.search(Scope("alice"), StoreQuery(vector=None, k=1, now=NOW, known_generation=0))
    with pytest.raises(StoreUnavailable):
        await store.state.get("space", "key", now=1)


async def test_rows_fetched_at_once_are_those_fetched_one_by_one(store: SqliteStore, settings: SqliteSettings) -> None:
    make = RecordFactory(store.capabilities)
    odd = ['say "hi" \\ \n\t', "🧠 Straße \u2028", "]],[[null", "\x7f\x01"]
    await store.create([make.make(text, importance=number / 7) for number, text in enumerate(odd)])
    with sqlite3.connect(settings.path) as connection:
        statement = f"{SELECT} WHERE m.owner = ? {NEWEST_FIRST}"
        one_by_one = connection.execute(statement, (1,)).fetchall()
        assert list(map(tuple, fetch(connection, statement, (1,)))) == one_by_one
        assert len(one_by_one) == len(odd)
        assert fetch(connection, statement, (99,)) == []
    connection.close()
