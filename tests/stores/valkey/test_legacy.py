"""Memories as a Go router wrote them, under an index as it declares it."""

import json
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from memrouter.config.memory import ValkeySettings
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source, owner_key
from memrouter.stores.query import EVERYTHING, Filter, ListQuery, Merged, MergeMode, ScanQuery, StoreQuery
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.edits import edit
from memrouter.testing.records import HOSTILE_IDENTITIES, NOW, RecordFactory, plain, text_vector
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
        assert await go_store.delete(Scope(user), Filter(ids=frozenset({f"g{other}"}))) == 0
        assert await go_store.touch(Scope(user), [f"g{other}"], now=LATER) == 0


async def test_an_old_memory_is_counted_edited_and_deleted(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    await write(connection, valkey, "g1", "likes tea")
    await write(connection, valkey, "g2", "likes milk")
    text = "likes coffee"
    assert await go_store.touch(ALICE, ["g1", "absent"], now=LATER) == 1
    assert await connection.run(["HGET", f"{valkey.collection_prefix}g1", "access_count"]) == b"2"
    await edit(go_store, ALICE, "g1", now=LATER, content=text, importance=0.9)
    (record,) = await go_store.get(ALICE, ["g1"], now=LATER)
    assert (record.content, record.importance, record.updated_at) == (text, 0.9, LATER)
    assert (record.access_count, record.last_accessed) == (3, LATER)
    assert (await found(go_store, ALICE, text))[0] == "g1"
    before = (await go_store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER))).generation
    assert await go_store.delete(ALICE, Filter(ids=frozenset({"g1"}))) == 1
    assert (await go_store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER))).generation > before
    assert await go_store.delete(ALICE, EVERYTHING) == 1
    assert await listed(go_store, ALICE) == []


async def test_superseding_and_expiry_hide_an_old_memory_too(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    await write(connection, valkey, "g1", "memory g1", superseded_by="g3")
    await write(connection, valkey, "g2", "memory g2", expires_at=str(LATER))
    await write(connection, valkey, "g3", "memory g3")
    assert await listed(go_store, ALICE) == ["g3"]
    assert [record.id for record in await go_store.get(ALICE, ["g1", "g2", "g3"], now=LATER)] == ["g1", "g3"]


async def test_old_memories_are_found_by_id_with_an_index_of_ours(
    valkey_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    await write(connection, valkey, "g1", "likes tea")
    assert [record.id for record in await valkey_store.get(ALICE, ["g1"], now=LATER)] == ["g1"]
    assert await edit(valkey_store, ALICE, "g1", now=LATER, importance=1.0) is not None
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


async def scanned(store: ValkeyStore, *, page: int = 500, user: str | None = None) -> list[MemoryRecord]:
    return [record async for found in store.scan(ScanQuery(user, page=page)) for record in found.records]


def ids(records: list[MemoryRecord]) -> list[str]:
    return [record.id for record in records]


async def mixed(store: ValkeyStore, connection: Connection, settings: ValkeySettings) -> list[str]:
    """Store old and new memories of several users; return their ids in the order of a scan."""
    make = RecordFactory(store.capabilities)
    users = ["alice", "bob", "carol, dave", "*"]
    made = [make.make(user_id=user, created_at=NOW + 3 * number) for number in range(5) for user in users[:3]]
    await store.create(made)
    placed = [(owner_key(record.user_id), record.created_at, record.id) for record in made]
    for number in range(20):
        user, created_at = users[number % 4], NOW + number // 2
        await write(connection, settings, f"g{number}", f"old {number}", user_id=user, created_at=str(created_at))
        placed.append((owner_key(user), created_at, f"g{number}"))
    return [memory_id for *_, memory_id in sorted(placed)]


@pytest.mark.parametrize("page", [1, 2, 7, 500])
async def test_a_scan_gives_old_and_new_memories_in_one_order(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings, page: int
) -> None:
    expected = await mixed(go_store, connection, valkey)
    assert ids(await scanned(go_store, page=page)) == expected
    assert await go_store.count(None) == len(expected)
    for user, number in (("alice", 10), ("bob", 10), ("carol, dave", 10), ("*", 5), ("carol", 0)):
        mine = await scanned(go_store, page=page, user=user)
        assert len(mine) == await go_store.count(user) == number
        assert [memory_id for memory_id in expected if memory_id in ids(mine)] == ids(mine)


async def test_a_scan_of_old_and_new_memories_can_be_taken_up_behind_every_page(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    expected = await mixed(go_store, connection, valkey)
    seen = 0
    async for page in go_store.scan(ScanQuery(page=4)):
        seen += len(page.records)
        rest = [found async for found in go_store.scan(ScanQuery(after=page.position))]
        assert [record.id for found in rest for record in found.records] == expected[seen:]
    assert seen == len(expected)


async def test_an_old_memory_that_is_moved_during_a_scan_comes_once(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    expected = await mixed(go_store, connection, valkey)
    found: list[str] = []
    async for page in go_store.scan(ScanQuery(page=3)):
        found += ids(list(page.records))
        for name in ("g1", "g6", "g11", "g18"):
            await moved(go_store, connection, valkey, name)
    assert found == expected


async def moved(store: ValkeyStore, connection: Connection, settings: ValkeySettings, memory_id: str) -> None:
    """Put an old memory under its owner's key, as a rebuild does, where it is not there already."""
    user = await connection.run(["HGET", settings.collection_prefix + memory_id, "user_id"])
    if user is not None:
        (record,) = await store.get(Scope(user.decode()), [memory_id], now=NOW)
        await store.merge([record], mode=MergeMode.REPLACE)
        assert await connection.run(["EXISTS", settings.collection_prefix + memory_id]) == 0


async def test_rows_that_are_no_memories_are_neither_scanned_nor_counted(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    await write(connection, valkey, "g1", "likes tea")
    prefix = valkey.collection_prefix
    for number, changes in enumerate(
        [{"embedding": "short"}, {"id": "other"}, {"user_id": "a\0b"}, {"created_at": "soon"}, {"user_id": b"\xff"}]
    ):
        await write(connection, valkey, f"bad{number}", "no memory")
        await connection.run(["HSET", f"{prefix}bad{number}", *(part for pair in changes.items() for part in pair)])
    await connection.run(["HSET", f"{prefix}bad", "id", "bad", "user_id", "alice"])
    await connection.run(["SET", f"{prefix}text", "text"])
    await go_store.check()  # leaves no canary behind that would count
    assert ids(await scanned(go_store)) == ["g1"]
    assert await go_store.count(None) == 1


@pytest.mark.parametrize("mode", MergeMode)
@pytest.mark.parametrize("age", [-1, 0, 1])
async def test_an_old_memory_gives_way_to_a_record_as_a_new_one_does(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings, mode: MergeMode, age: int
) -> None:
    await write(connection, valkey, "g1", "likes tea")
    await write(connection, valkey, "g2", "likes milk")
    (held,) = await go_store.get(ALICE, ["g1"], now=NOW)
    record = replace(
        RecordFactory(go_store.capabilities).make("likes coffee", access_count=5, last_accessed=NOW),
        id="g1",
        updated_at=held.updated_at + age,
    )
    replaces = mode is MergeMode.REPLACE or (mode is MergeMode.NEWER and age > 0)
    hers = RecordFactory(go_store.capabilities).make(id="g2", user_id="bob")
    outcomes = list(await go_store.merge([hers, record], mode=mode))
    assert outcomes == [Merged.ADDED, Merged.REPLACED if replaces else Merged.KEPT]
    assert await connection.run(["EXISTS", f"{valkey.collection_prefix}g1"]) == (not replaces)
    assert await connection.run(["EXISTS", f"{valkey.collection_prefix}g2"]) == 1
    mine = await scanned(go_store, user="alice")
    assert plain(mine[0]) == plain(record if replaces else held) or plain(mine[1]) == plain(record)
    assert sorted(ids(mine)) == ["g1", "g2"]
    access = await connection.run(["HGET", Keys(valkey.collection_prefix).of_user("alice").access, "g1"])
    assert access == (f"5:{NOW}".encode() if replaces else None)
