"""What is special about this store: metrics, opening, crashes, hostile identities."""

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from memrouter.config.memory import MilvusSettings, SqliteSettings
from memrouter.errors import InvalidRequest, SchemaMismatch
from memrouter.models.memory import Scope, unit
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.store import MilvusStore
from memrouter.stores.milvus.writes import MERGE_AT_ONCE
from memrouter.stores.query import EVERYTHING, Filter, ListQuery, Merged, MergeMode, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.clock import ManualClock
from memrouter.testing.edits import edit
from memrouter.testing.milvus import elsewhere
from memrouter.testing.records import NOW, RecordFactory, plain

from .conftest import DIMENSION, MODEL, milvus_store

ALICE = Scope("alice")
LATER = NOW + 1_000_000

identities = st.text(
    st.one_of(
        st.sampled_from("\"'\\%_{}[]()|&=<>!~*`$; \u2028\u200b\ufeffé🧠aA0"),
        st.characters(exclude_categories=("Cc", "Cs")),
    ),
    min_size=1,
    max_size=24,
)


async def listed(store: MilvusStore, scope: Scope = ALICE) -> list[str]:
    return [record.id for record in (await store.list(scope, ListQuery(limit=1000, now=LATER))).records]


@pytest.mark.parametrize("metric", ["COSINE", "L2", "IP"])
async def test_ids_order_and_scores_are_those_of_sqlite(
    own_settings: MilvusSettings, tmp_path_factory: pytest.TempPathFactory, metric: str
) -> None:
    path = str(tmp_path_factory.mktemp("reference") / "memories.db")
    reference = await SqliteStore.open(SqliteSettings(path=path), dimension=DIMENSION, embedding_model=MODEL)
    store = await milvus_store(own_settings.model_copy(update={"metric_type": metric}))
    random = np.random.default_rng(7)
    make = RecordFactory(store.capabilities)
    records = [make.make(embedding=unit(random.standard_normal(DIMENSION))) for _ in range(200)]
    records += [make.make(embedding=records[3].embedding) for _ in range(3)]
    for each in (store, reference):
        await each.create(records)
    for scan_limit in (0, 150, 1000):
        for number in range(5):
            query = StoreQuery(
                vector=unit(records[number].embedding + random.standard_normal(DIMENSION) * 0.2),
                words=("fact",),
                k=12,
                now=LATER,
                scan_limit=scan_limit,
            )
            found, expected = await store.search(ALICE, query), await reference.search(ALICE, query)
            assert [record.id for record in found.records or ()] == [record.id for record in expected.records or ()]
            assert list(found.scores or ()) == pytest.approx(list(expected.scores or ()), abs=1e-4)
            assert found.complete == expected.complete
    await store.aclose()
    await reference.aclose()


@given(users=st.lists(identities, min_size=2, max_size=4, unique=True), project=identities)
@settings(max_examples=15)
def test_no_name_of_a_user_or_project_reaches_anybody_elses_memories(
    shared_collection: MilvusSettings, users: list[str], project: str
) -> None:
    async def check() -> None:
        store = await milvus_store(shared_collection)
        make = RecordFactory(store.capabilities)
        owned = {user: make.make("secret", user_id=user, project_id=project) for user in users}
        for user in users:
            await store.delete(Scope(user, None), EVERYTHING)
        await store.create(list(owned.values()), unique_content=True)
        for user, record in owned.items():
            scope = Scope(user, project)
            query = StoreQuery(vector=record.embedding, words=("secret",), k=50, now=LATER)
            assert [found.user_id for found in (await store.search(scope, query)).records or ()] == [user]
            assert [plain(found) for found in await store.get(scope, [record.id], now=LATER)] == [plain(record)]
            assert await store.delete(scope, EVERYTHING) == 1
        await store.aclose()

    asyncio.run(check())


@given(memory_id=st.text(max_size=70), user=st.text(min_size=1, max_size=20))
@settings(max_examples=15)
def test_an_id_that_somebody_makes_up_is_absent_or_refused(
    shared_collection: MilvusSettings, memory_id: str, user: str
) -> None:
    async def check() -> None:
        try:
            scope = Scope(user)
        except InvalidRequest:
            return
        store = await milvus_store(shared_collection)
        assert await store.get(scope, [memory_id], now=LATER) == []
        assert await edit(store, scope, memory_id, now=LATER, importance=0.1) is None
        await store.aclose()

    asyncio.run(check())


async def test_a_change_that_was_killed_half_way_leaves_one_state(
    store: MilvusStore, make: RecordFactory, monkeypatch: pytest.MonkeyPatch, shared_collection: MilvusSettings
) -> None:
    """A router that dies between the insert and the deletion leaves old versions behind, which nobody sees."""
    records = make.many(6)
    await store.create(records)
    await store.touch(ALICE, [records[3].id], now=NOW)
    dying = await milvus_store(shared_collection)

    async def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "delete", killed)
        with pytest.raises(RuntimeError):
            await dying.merge([replace(records[0], superseded_by=records[1].id)], mode=MergeMode.REPLACE)
        with pytest.raises(RuntimeError):
            await dying.merge([make.make("new text", id=records[2].id)], mode=MergeMode.REPLACE)
        with pytest.raises(RuntimeError):
            await dying.touch(ALICE, [records[3].id], now=LATER)
    await dying.aclose()
    await store.check()  # waits until the server shows what was inserted
    assert await listed(store) == [records[2].id, *(records[n].id for n in (5, 4, 3, 1))]
    assert (await store.get(ALICE, [records[2].id], now=LATER))[0].content == "new text"
    assert (await store.get(ALICE, [records[3].id], now=LATER))[0].access_count == 2
    assert await store.count("alice") == await store.count(None) == 6
    for scan_limit in (0, 100):
        query = StoreQuery(vector=records[0].embedding, words=("fact",), k=20, now=LATER, scan_limit=scan_limit)
        found = await store.search(ALICE, query)
        assert sorted(record.id for record in found.records or ()) == sorted(r.id for r in records[1:])
    await edit(store, ALICE, records[4].id, now=LATER, importance=0.3)
    assert await store.count("alice") == 6


async def test_texts_and_vectors_of_deleted_memories_do_not_stay(
    store: MilvusStore, make: RecordFactory, client: Connection, shared_collection: MilvusSettings
) -> None:
    await store.create([make.make("walrus"), make.make("other")])
    (first, second) = await listed(store)
    await edit(store, ALICE, first, now=LATER, importance=0.2)
    await store.delete(ALICE, Filter(ids=frozenset({second})))
    rows = await client.query(shared_collection.collection, 'key != ""', ["content", "user_id"], level="Strong")
    assert sorted(row["content"] for row in rows if row["content"]) == ["other"]


async def test_deletions_are_forgotten_after_a_while(
    shared_collection: MilvusSettings, store: MilvusStore, client: Connection
) -> None:
    clock = ManualClock(NOW)
    later = await MilvusStore.open(shared_collection, dimension=DIMENSION, embedding_model=MODEL, clock=clock)
    make = RecordFactory(later.capabilities)
    gone, kept = make.make(), make.make()
    await later.create([gone, kept])
    await later.delete(ALICE, Filter(ids=frozenset({gone.id})))
    graves = 'memory_type == "~gone"'
    assert len(await client.query(shared_collection.collection, graves, ["key"], level="Strong")) == 1
    clock.ms += 601_000
    await edit(later, ALICE, kept.id, now=LATER, importance=0.2)
    assert await client.query(shared_collection.collection, graves, ["key"], level="Strong") == []
    assert await listed(later) == [kept.id]
    await later.aclose()


async def test_a_collection_of_another_model_or_dimension_is_refused_with_the_command(
    store: MilvusStore, shared_collection: MilvusSettings
) -> None:
    command = "run: memrouter reindex --embedding-model"
    with pytest.raises(SchemaMismatch, match=rf"keeps vectors of test-model \(16 numbers\).*{command} another"):
        await MilvusStore.open(shared_collection, dimension=DIMENSION, embedding_model="another")
    with pytest.raises(SchemaMismatch, match=rf"16 numbers.*{command} test-model --dimension 8"):
        await MilvusStore.open(shared_collection, dimension=8, embedding_model=MODEL)
    with pytest.raises(SchemaMismatch, match=r"dimension is 8, but test-model makes vectors of 16"):
        await milvus_store(shared_collection.model_copy(update={"dimension": 8}))


async def test_a_collection_that_keeps_no_memories_is_left_alone(milvus_server: MilvusSettings) -> None:
    settings = elsewhere(milvus_server)
    connection = await Connection.open(settings)
    await connection.administer(lambda client: client.create_collection(settings.collection, dimension=8), seconds=60)
    try:
        with pytest.raises(SchemaMismatch, match="is not a collection of memories"):
            await milvus_store(settings)
    finally:
        await connection.administer(lambda client: client.drop_collection(settings.collection))
        await connection.aclose()


async def test_a_collection_is_opened_by_an_alias_which_can_be_switched(
    own_settings: MilvusSettings,
    shared_collection: MilvusSettings,
    store: MilvusStore,
    make: RecordFactory,
    client: Connection,
) -> None:
    record = make.make()
    await store.create([record])
    alias = f"a{own_settings.collection}"
    await client.administer(lambda milvus: milvus.create_alias(shared_collection.collection, alias))
    named = own_settings.model_copy(update={"collection": alias})
    by_alias = await milvus_store(named)
    assert await listed(by_alias) == [record.id]
    await by_alias.aclose()
    new = await milvus_store(own_settings)
    await client.administer(lambda milvus: milvus.alter_alias(own_settings.collection, alias))
    by_alias = await milvus_store(named)
    assert await listed(by_alias) == []
    await by_alias.aclose()
    await new.aclose()
    await client.administer(lambda milvus: milvus.drop_alias(alias))


async def test_two_routers_that_start_at_once_make_one_collection(own_settings: MilvusSettings) -> None:
    stores = await asyncio.gather(*(milvus_store(own_settings) for _ in range(3)))
    record = RecordFactory(stores[0].capabilities).make()
    await stores[0].create([record])
    for store in stores:
        assert await listed(store) == [record.id]
        await store.aclose()


async def test_a_merge_of_several_steps_is_seen_whole_by_every_router(
    store: MilvusStore, other: MilvusStore, make: RecordFactory
) -> None:
    records = [make.make(user_id=f"user {number % 3}") for number in range(2 * MERGE_AT_ONCE + 7)]
    assert set(await store.merge(records, mode=MergeMode.SKIP)) == {Merged.ADDED}
    assert await other.count(None) == len(records)
    assert set(await other.merge(records, mode=MergeMode.NEWER)) == {Merged.KEPT}
    assert set(await store.merge(records, mode=MergeMode.REPLACE)) == {Merged.REPLACED}
    assert await other.count(None) == len(records)
