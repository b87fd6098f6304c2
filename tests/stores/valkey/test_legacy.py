"""Memories as a Go router wrote them, under an index as it declares it."""

import json
from collections.abc import AsyncIterator

import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.models.memory import MemoryType, Scope, Source
from memrouter.stores.query import EVERYTHING, Filter, ListQuery, Patch, StoreQuery
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.records import HOSTILE_IDENTITIES, NOW, RecordFactory, text_vector
from memrouter.testing.valkey import serving

DIMENSION = 16
LATER = NOW + 10**6
ALICE = Scope("alice")


async def declare(connection: Connection, settings: ValkeySettings) -> None:
    """Make an index with the fields that the Go router declares."""
    await connection.run([
        "FT.CREATE", settings.index_name, "ON", "HASH", "PREFIX", "1", settings.collection_prefix, "SCHEMA",
        "id", "TAG", "user_id", "TAG", "project_id", "TAG", "memory_type", "TAG", "content", "TEXT", "source", "TAG",
        "embedding", "VECTOR", "HNSW", "10", "TYPE", "FLOAT32", "DIM", DIMENSION, "DISTANCE_METRIC", "COSINE",
        "M", "16", "EF_CONSTRUCTION", "256", "created_at", "NUMERIC", "SORTABLE", "updated_at", "NUMERIC",
        "access_count", "NUMERIC", "importance", "NUMERIC",
    ])  # fmt: skip


async def write(connection: Connection, settings: ValkeySettings, memory_id: str, text: str, **changes: str) -> None:
    """Store a memory as the Go router does."""
    fields = {
        "id": memory_id, "user_id": "alice", "project_id": "default", "memory_type": "semantic", "content": text,
        "source": "conversation", "created_at": str(NOW), "updated_at": str(NOW), "access_count": "2",
        "importance": "0.5",
    } | changes  # fmt: skip
    metadata = {name: fields[name] for name in ("user_id", "project_id", "source")} | {"last_accessed": NOW // 1000}
    pairs = [part for pair in fields.items() for part in pair]
    vector = text_vector(text, DIMENSION).tobytes()
    key = settings.collection_prefix + memory_id
    await connection.run(["HSET", key, *pairs, "metadata", json.dumps(metadata), "embedding", vector])


@pytest.fixture
async def go_store(valkey: ValkeySettings, connection: Connection) -> AsyncIterator[ValkeyStore]:
    await declare(connection, valkey)
    store = await ValkeyStore.open(valkey, dimension=DIMENSION, embedding_model="test-model")
    await serving(store)
    yield store
    await store.aclose()


async def listed(store: ValkeyStore, scope: Scope) -> list[str]:
    page = await store.list(scope, ListQuery(limit=100, now=LATER))
    assert page.total == len(page.records)
    return [record.id for record in page.records]


async def found(store: ValkeyStore, scope: Scope, text: str, **options: object) -> list[str]:
    query = StoreQuery(vector=text_vector(text, DIMENSION), k=10, now=LATER, **options)  # type: ignore[arg-type] # any
    answer = await store.search(scope, query)
    return [record.id for record in answer.records or ()]


async def test_old_and_new_memories_are_listed_searched_and_counted_together(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    await write(connection, valkey, "g1", "likes green tea")
    await write(connection, valkey, "g2", "hates milk", created_at=str(NOW + 5), memory_type="episodic")
    fresh = RecordFactory(go_store.capabilities).make("walks at noon")
    await go_store.create([fresh])
    assert set(await listed(go_store, ALICE)) == {"g1", "g2", fresh.id}
    for limit in (0, 100):
        assert (await found(go_store, ALICE, "likes green tea", scan_limit=limit))[0] == "g1"
        assert (await found(go_store, ALICE, "walks at noon", scan_limit=limit))[0] == fresh.id
    answer = await go_store.search(ALICE, StoreQuery(vector=None, words=("milk",), k=5, now=LATER))
    assert [record.id for record in answer.records or ()] == ["g2"]
    stats = await go_store.stats(ALICE, now=LATER)
    assert (stats.total, stats.by_type) == (3, {MemoryType.SEMANTIC: 1, MemoryType.EPISODIC: 2})
    assert stats.by_source == {Source.CONVERSATION: 3}


async def test_hostile_names_find_their_own_memories_and_nobody_elses(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    for number, user in enumerate(HOSTILE_IDENTITIES):
        await write(connection, valkey, f"g{number}", "secret", user_id=user)
    for number, user in enumerate(HOSTILE_IDENTITIES):
        assert await listed(go_store, Scope(user)) == [f"g{number}"], ascii(user)
        assert await found(go_store, Scope(user), "secret") == [f"g{number}"], ascii(user)
        other = (number + 1) % len(HOSTILE_IDENTITIES)
        assert await go_store.get(Scope(user), [f"g{other}"], now=LATER) == []
        assert await go_store.update(Scope(user), f"g{other}", Patch(updated_at=LATER, importance=1.0)) is None
        assert await go_store.delete(Scope(user), Filter(ids=frozenset({f"g{other}"}))) == 0
        assert await go_store.touch(Scope(user), [f"g{other}"], now=LATER) == 0


async def test_an_old_memory_is_edited_counted_and_deleted_where_it_stands(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    await write(connection, valkey, "g1", "likes tea")
    await write(connection, valkey, "g2", "likes milk")
    text = "likes coffee"
    patch = Patch(
        updated_at=LATER,
        content=text,
        embedding=text_vector(text, DIMENSION),
        embedding_model="test-model",
        importance=0.9,
    )
    changed = await go_store.update(ALICE, "g1", patch)
    assert changed is not None
    assert (changed.content, changed.importance, changed.updated_at) == (text, 0.9, LATER)
    assert (await found(go_store, ALICE, text))[0] == "g1"
    assert await go_store.touch(ALICE, ["g1", "absent"], now=LATER) == 1
    (record,) = await go_store.get(ALICE, ["g1"], now=LATER)
    assert (record.access_count, record.last_accessed) == (3, LATER)
    assert await connection.run(["HGET", f"{valkey.collection_prefix}g1", "access_count"]) == b"2"
    before = (await go_store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER))).generation
    assert await go_store.delete(ALICE, Filter(ids=frozenset({"g1"}))) == 1
    assert (await go_store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER))).generation > before
    assert await go_store.delete(ALICE, EVERYTHING) == 1
    assert await listed(go_store, ALICE) == []
    assert await go_store.update(ALICE, "g1", patch) is None


async def test_superseding_and_expiry_hide_an_old_memory_too(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    for name in ("g1", "g2", "g3"):
        await write(connection, valkey, name, f"memory {name}")
    await go_store.update(ALICE, "g1", Patch(updated_at=NOW, superseded_by="g3"))
    await go_store.update(ALICE, "g2", Patch(updated_at=NOW, expires_at=LATER))
    assert await listed(go_store, ALICE) == ["g3"]
    assert [record.id for record in await go_store.get(ALICE, ["g1", "g2", "g3"], now=LATER)] == ["g1", "g3"]


async def test_old_memories_are_found_by_id_with_an_index_of_ours(
    valkey_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    await write(connection, valkey, "g1", "likes tea")
    assert [record.id for record in await valkey_store.get(ALICE, ["g1"], now=LATER)] == ["g1"]
    assert await valkey_store.update(ALICE, "g1", Patch(updated_at=LATER, importance=1.0)) is not None
    assert await valkey_store.get(Scope("Alice"), ["g1"], now=LATER) == []
    assert await valkey_store.delete(ALICE, Filter(ids=frozenset({"g1"}))) == 1


async def test_an_answer_is_never_unchanged_while_a_go_router_may_write(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    first = await go_store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER, scan_limit=9))
    await write(connection, valkey, "g1", "likes tea")
    query = StoreQuery(vector=None, k=1, now=LATER, scan_limit=9, known_generation=first.generation)
    answer = await go_store.search(ALICE, query)
    assert [record.id for record in answer.records or ()] == ["g1"]
