"""New vectors on Valkey: side keys, memories of the Go router, clusters, and what a router that stood still left."""

import json
import logging
import random
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from memrouter.config.memory import ValkeySettings
from memrouter.errors import SchemaMismatch, StoreUnavailable
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import Matrix, Scope
from memrouter.stores.base import Capabilities
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.query import Change, ListQuery, ScanQuery, StoreQuery
from memrouter.stores.valkey.canary import Canary
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.reindex import ValkeyReindexing
from memrouter.stores.valkey.scripts import ScriptCall
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.records import NOW, RecordFactory, plain, text_vector
from memrouter.testing.valkey import serving
from memrouter.testing.valkey_cluster import ValkeyCluster

OLD, NEW = EmbeddingSpace("test-model", 16), EmbeddingSpace("new-model", 24)
LATER = NOW + 10**9
ALICE = Scope("alice")


def vectors_of(texts: list[str], space: EmbeddingSpace = NEW) -> Matrix:
    return np.array([text_vector(f"{space.model}\0{text}", space.dimension) for text in texts])


async def opened(settings: ValkeySettings, space: EmbeddingSpace) -> ValkeyStore:
    return await ValkeyStore.open(settings, dimension=space.dimension, embedding_model=space.model)


@pytest.fixture
async def reindexing(valkey: ValkeySettings) -> AsyncIterator[ValkeyReindexing]:
    reindexing = await ValkeyReindexing.open(valkey, target=NEW, grace=0)
    yield reindexing
    await reindexing.aclose()


async def fill(reindexing: ValkeyReindexing, *, step: int = 1000) -> int:
    kept = 0
    async for batch in reindexing.pending(step=step):
        kept += await reindexing.put(batch.texts, vectors_of([text.content for text in batch.texts]))
    return kept


async def run(reindexing: ValkeyReindexing) -> int | None:
    """Do all of it, with no writer beside."""
    assert await reindexing.begin()
    await fill(reindexing)
    await reindexing.seal()
    moved = await reindexing.switch()
    await reindexing.finish()
    return moved


async def side_keys(connection: Connection, settings: ValkeySettings) -> list[bytes]:
    pattern = Keys(settings.collection_prefix).next_pattern
    return [key async for keys in connection.scan(pattern, kind=None) for key in keys]


async def test_new_vectors_stand_apart_until_they_are_moved_and_leave_nothing(
    valkey_store: ValkeyStore,
    records: RecordFactory,
    reindexing: ValkeyReindexing,
    connection: Connection,
    valkey: ValkeySettings,
) -> None:
    await valkey_store.create([records.make(user_id=user) for user in ("alice", "bob", "a,b") for _ in range(150)])
    row = Keys(valkey.collection_prefix).of_user("alice").memory("m000000000001")
    before = await connection.run(["HGETALL", row])
    await reindexing.begin()
    assert await fill(reindexing) == 450
    assert await connection.run(["HGETALL", row]) == before
    assert len(await side_keys(connection, valkey)) == 3
    assert (await reindexing.survey()).made == 450
    await reindexing.seal()
    assert await reindexing.switch() == 450
    await reindexing.finish()
    assert await side_keys(connection, valkey) == []
    assert not any(name.startswith("reindex") for name in await SearchIndex.meta(index_of(connection, valkey)))
    assert len(await connection.run(["HGET", row, "embedding"])) == 4 * NEW.dimension


def index_of(connection: Connection, settings: ValkeySettings, space: EmbeddingSpace = NEW) -> SearchIndex:
    return SearchIndex(connection, settings, dimension=space.dimension, embedding_model=space.model)


async def test_vectors_of_owners_whose_memories_are_gone_are_swept_away(
    valkey_store: ValkeyStore, reindexing: ValkeyReindexing, connection: Connection, valkey: ValkeySettings
) -> None:
    orphan = Keys(valkey.collection_prefix).of_user("gone").next_vectors
    await connection.run(["HSET", orphan, "m1", "x"])
    assert await run(reindexing) == 0
    assert await side_keys(connection, valkey) == []


async def test_the_generation_rises_with_the_switch_and_the_index_fits_the_new_vectors(
    valkey_store: ValkeyStore,
    records: RecordFactory,
    reindexing: ValkeyReindexing,
    connection: Connection,
    valkey: ValkeySettings,
) -> None:
    await valkey_store.create(records.many(3))
    generation = Keys(valkey.collection_prefix).of_user("alice").generation
    before = int(await connection.run(["GET", generation]))
    await run(reindexing)
    assert int(await connection.run(["GET", generation])) > before
    found = await index_of(connection, valkey).find()
    assert found is not None
    assert found.vector is not None
    assert found.vector.dimension == NEW.dimension


async def test_a_reindex_keeps_what_happened_to_a_memory_and_a_change_gives_its_text_a_vector_of_its_own(
    valkey_store: ValkeyStore, records: RecordFactory, reindexing: ValkeyReindexing, valkey: ValkeySettings
) -> None:
    event = HistoryEntry(NOW, Event.QUARANTINED, Actor.ROUTER, 'rule "x"')
    trailed = records.make(pinned=True, links=("m7", "ü"), history=(event,), quarantine="instruction")
    changed, gone = records.many(2)
    await valkey_store.create([trailed, changed, gone])
    await reindexing.begin()
    assert await fill(reindexing) == 3
    planned = (await valkey_store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER))).generation
    other = replace(changed, content="other", embedding=records.vector("other"))
    change = Change("alice", after=planned, put=[trailed, other], remove=frozenset({gone.id}))
    after = await valkey_store.commit(change)
    assert after is not None
    assert (await reindexing.survey()).made == 0, "all three were written or removed"
    await reindexing.seal()
    with pytest.raises(StoreUnavailable):
        await valkey_store.commit(Change("alice", after=after, put=[other]))
    assert await reindexing.switch() is None
    assert await fill(reindexing) == 2
    assert await reindexing.switch() == 2
    await reindexing.finish()
    with pytest.raises(SchemaMismatch, match="was reindexed"):
        await valkey_store.commit(Change("alice", after=after, put=[other]))
    store = await opened(valkey, NEW)
    found = await store.get(ALICE, [trailed.id, other.id, gone.id], now=LATER)
    expected = [
        replace(record, embedding=vectors_of([record.content])[0].astype("<f4"), embedding_model=NEW.model)
        for record in (trailed, other)
    ]
    assert [plain(record) for record in found] == [plain(record) for record in expected]
    assert (await store.list(ALICE, ListQuery(limit=9, now=LATER, quarantined=True))).total == 1
    await store.aclose()


async def test_a_text_that_was_changed_behind_the_scripts_gets_a_vector_of_its_own(
    valkey_store: ValkeyStore,
    records: RecordFactory,
    reindexing: ValkeyReindexing,
    connection: Connection,
    valkey: ValkeySettings,
) -> None:
    await valkey_store.create(records.many(3))
    await reindexing.begin()
    await fill(reindexing)
    key = Keys(valkey.collection_prefix).of_user("alice").memory("m000000000002")
    await connection.run(["HSET", key, "content", "other"])
    await reindexing.seal()
    assert await reindexing.switch() is None
    assert await fill(reindexing) == 1
    assert await reindexing.switch() == 3
    assert await connection.run(["HGET", key, "embedding"]) == vectors_of(["other"])[0].astype("<f4").tobytes()


async def test_a_switch_does_not_end_before_the_last_memory_has_moved(
    valkey_store: ValkeyStore,
    records: RecordFactory,
    reindexing: ValkeyReindexing,
    connection: Connection,
    valkey: ValkeySettings,
) -> None:
    await valkey_store.create(records.many(3))
    await reindexing.begin()
    await fill(reindexing)
    await reindexing.seal()
    keys = Keys(valkey.collection_prefix)
    switching = ["embedding_model", NEW.model, "dimension", NEW.dimension, "reindex_phase", "switching"]
    await connection.run(["HSET", keys.meta, *switching])
    await connection.run(["HSET", keys.of_user("alice").memory("m000000000002"), "content", "other"])
    assert await reindexing.switch() is None
    with pytest.raises(SchemaMismatch, match="no router can use it"):
        await opened(valkey, NEW)
    assert await fill(reindexing) == 1
    assert await reindexing.switch() == 3
    await (await opened(valkey, NEW)).aclose()


async def test_a_broken_row_is_left_as_it_is(
    valkey_store: ValkeyStore,
    records: RecordFactory,
    reindexing: ValkeyReindexing,
    connection: Connection,
    valkey: ValkeySettings,
) -> None:
    await valkey_store.create(records.many(3))
    keys = Keys(valkey.collection_prefix).of_user("alice")
    await connection.run(["HSET", keys.memory("m000000000002"), "record", "{broken"])
    assert await run(reindexing) == 2
    assert await connection.run(["HGET", keys.memory("m000000000002"), "record"]) == b"{broken"


async def test_what_a_router_that_stood_still_wrote_is_never_compared_and_mended_by_the_next_run(
    valkey_store: ValkeyStore,
    records: RecordFactory,
    reindexing: ValkeyReindexing,
    valkey: ValkeySettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In a cluster a router asks first and writes then; one that is stopped in between may write too late."""
    await valkey_store.create(records.many(2))
    await run(reindexing)

    async def passed(*_: object) -> None:
        """Stand for a check that was made before the switch."""

    fence = valkey_store._writes._fence
    monkeypatch.setattr(fence, "_check_writable", passed)
    monkeypatch.setattr(fence._connection, "cluster", True)
    late = [records.make(user_id="alice"), records.make(user_id="somebody new")]
    await valkey_store.create(late)
    router = await opened(valkey, NEW)
    with caplog.at_level(logging.WARNING):
        answer = await router.search(
            Scope("alice"), StoreQuery(vector=text_vector("q", 24), k=9, now=LATER, scan_limit=100)
        )
    assert answer.records is not None
    assert [record.id for record in answer.records if record.embedding_model != NEW.model] == []
    assert len(answer.records) == 2
    assert "memrouter reindex --embedding-model new-model" in caplog.text
    mending = await ValkeyReindexing.open(valkey, target=NEW, grace=0)
    assert await run(mending) == 4
    assert not await mending.begin()
    await mending.aclose()
    found = {record.id async for page in router.scan(ScanQuery()) for record in page.records}
    assert {record.id for record in late} <= found
    await router.aclose()


async def test_mending_leaves_the_index_to_the_routers_that_use_it(
    valkey_store: ValkeyStore,
    records: RecordFactory,
    reindexing: ValkeyReindexing,
    connection: Connection,
    valkey: ValkeySettings,
) -> None:
    await valkey_store.create(records.many(2))
    await run(reindexing)
    key = Keys(valkey.collection_prefix).of_user("alice").memory("m000000000001")
    record = json.loads(await connection.run(["HGET", key, "record"]))
    await connection.run(["HSET", key, "record", json.dumps(["test-model" if x == "new-model" else x for x in record])])
    router = await opened(valkey, NEW)
    await serving(router)
    assert await run(reindexing) == 2
    assert (await index_of(connection, valkey).ensure()).documents >= 2
    await router.check()
    await router.aclose()


async def put_as_go(connection: Connection, settings: ValkeySettings, number: int, *, dimension: int) -> None:
    vector = np.full(dimension, 3, dtype="<f4")
    vector[number % dimension] += 1
    await connection.run(
        ["HSET", f"{settings.collection_prefix}m{number}", "id", f"m{number}", "user_id", "alice", "project_id",
         "default", "memory_type", "semantic", "content", f"fact {number}", "source", "extraction", "metadata", "{}",
         "embedding", vector.tobytes(), "created_at", str(1000 + number), "updated_at", "2000", "access_count", "4",
         "importance", "0.5"]
    )  # fmt: skip


@pytest.mark.parametrize("used_before", [False, True], ids=["never used", "used by memrouter"])
async def test_memories_of_the_go_router_get_new_vectors_whatever_theirs_were(
    connection: Connection, valkey: ValkeySettings, reindexing: ValkeyReindexing, used_before: bool
) -> None:
    await connection.run(index_of(connection, valkey, OLD).schema.legacy_command())
    for number in range(30):
        await put_as_go(connection, valkey, number, dimension=OLD.dimension)
    if used_before:
        await (await opened(valkey, OLD)).aclose()
    else:
        with pytest.raises(SchemaMismatch, match=f"dimension is 16, configured is 24 .*{NEW.command}"):
            await opened(valkey, NEW)
    survey = await reindexing.survey()
    assert survey.memories == 30
    assert survey.kept == (OLD if used_before else EmbeddingSpace("unknown", OLD.dimension))
    assert await run(reindexing) == 30
    router = await opened(valkey, NEW)
    page = await router.list(Scope("alice"), ListQuery(limit=50, now=LATER))
    assert page.total == 30
    for record in page.records:
        assert (record.embedding_model, record.access_count) == (NEW.model, 4)
        assert record.embedding.tobytes() == vectors_of([record.content])[0].tobytes()
    await router.aclose()


async def test_memories_without_an_index_or_a_known_model_are_not_guessed_at(
    connection: Connection, valkey: ValkeySettings, reindexing: ValkeyReindexing
) -> None:
    await put_as_go(connection, valkey, 1, dimension=OLD.dimension)
    with pytest.raises(SchemaMismatch, match="does not tell which model's vectors they have"):
        await reindexing.begin()


async def test_a_newer_layout_is_left_alone(connection: Connection, valkey: ValkeySettings) -> None:
    await connection.run(["HSET", Keys(valkey.collection_prefix).meta, "format", "99"])
    with pytest.raises(SchemaMismatch, match="newer memrouter"):
        await ValkeyReindexing.open(valkey, target=NEW)


async def test_a_full_server_is_told_and_the_old_vectors_stand(
    valkey_store: ValkeyStore, records: RecordFactory, reindexing: ValkeyReindexing, connection: Connection
) -> None:
    await valkey_store.create(records.many(3))
    await reindexing.begin()
    await connection.run(["CONFIG", "SET", "maxmemory", "1"])
    try:
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            await fill(reindexing)
    finally:
        await connection.run(["CONFIG", "SET", "maxmemory", "0"])
    assert len((await valkey_store.list(Scope("alice"), ListQuery(limit=5, now=LATER))).records) == 3


async def test_every_script_stays_in_one_slot_in_a_cluster(
    valkey_store: ValkeyStore, records: RecordFactory, reindexing: ValkeyReindexing, monkeypatch: pytest.MonkeyPatch
) -> None:
    await valkey_store.create([records.make(user_id=user) for user in ("alice", "bob") for _ in range(3)])
    stores: list[Any] = [reindexing, valkey_store]
    seen: list[ScriptCall] = []
    for store in stores:
        monkeypatch.setattr(store._connection, "cluster", True)
        sending = store._connection.scripts

        async def watched(calls: list[Any], *, send: Any = sending) -> list[Any]:
            seen.extend(call for call in calls if isinstance(call, ScriptCall))
            result: list[Any] = await send(calls)
            return result

        monkeypatch.setattr(store._connection, "scripts", watched)
    await valkey_store.create([records.make(user_id="carol")])
    await run(reindexing)
    assert len(seen) > 6
    for call in seen:
        names = [key.decode() if isinstance(key, bytes) else str(key) for key in call.keys]
        assert len({name[name.index("{") : name.index("}")] for name in names}) == 1


async def test_a_real_cluster_is_reindexed_on_all_its_nodes() -> None:
    async with ValkeyCluster() as cluster:
        settings = cluster.settings()
        connection = await Connection.open(settings)
        index = index_of(connection, settings, OLD)
        await index.ensure()
        keys = Keys(settings.collection_prefix)
        canary = Canary(connection, index, rng=random.Random(1))  # it does not sing: a node of RediSearch is no cluster
        capabilities = Capabilities("valkey", OLD.dimension, OLD.model, exact=True)
        store = ValkeyStore(connection, index, canary, keys, capabilities=capabilities)
        make = RecordFactory(store.capabilities)
        await store.create([make.make(user_id=f"user{number % 20}") for number in range(200)])
        reindexing = await ValkeyReindexing.open(settings, target=NEW, grace=0)
        assert await run(reindexing) == 200
        with pytest.raises(SchemaMismatch, match="was reindexed"):
            await store.create([make.make(user_id="somebody new")])
        for number in range(20):
            base = keys.of_user(f"user{number}").base
            row = await connection.run(["HGET", f"{base}m{number + 1:012d}", "embedding"])
            assert row == vectors_of([f"fact number {number + 1}"])[0].astype("<f4").tobytes()
        await reindexing.aclose()
        await connection.aclose()
