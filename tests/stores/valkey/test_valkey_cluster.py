"""A store on a cluster: owners are spread over the nodes, and every step of one owner stays on one of them.

The nodes search with RediSearch, which knows nothing of the cluster: only the node with the index's own slot has the
index. So the index lies beside Alice here, vector search is tried for her, and everything else for everybody.
"""

import asyncio
import binascii
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace

from memrouter.config.memory import ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.models.memory import MemoryRecord, Scope, Source, Trust, owner_key
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import EVERYTHING, Change, ListQuery, MergeMode, ScanQuery, StoreQuery
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.rows import to_fields
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.records import HOSTILE_IDENTITIES, NOW, RecordFactory, plain
from memrouter.testing.store_contract.changing import ChangingContract
from memrouter.testing.store_contract.committing import CommittingContract
from memrouter.testing.store_contract.creating import CreatingContract
from memrouter.testing.store_contract.merging import MergingContract
from memrouter.testing.store_contract.quarantining import QuarantineContract
from memrouter.testing.store_contract.races import RaceContract
from memrouter.testing.store_contract.reading import ReadingContract
from memrouter.testing.store_contract.scanning import ScanningContract
from memrouter.testing.store_contract.searching import SearchingContract
from memrouter.testing.store_contract.stating import StateContract
from memrouter.testing.valkey_cluster import ValkeyCluster

from .cutting import CuttingClient

DIMENSION, MODEL = 24, "contract-model"
LATER = NOW + 10**9
ALICE = Scope("alice")
GO_FIELDS = (
    "id", "user_id", "project_id", "memory_type", "content", "source", "created_at", "updated_at", "importance",
    "embedding",
)  # fmt: skip
OWNERS = [f"owner{number}" for number in range(30)]
BESIDE_ALICE = f"{{{owner_key('alice')}}}"
"""Name of an index whose slot is that of Alice's memories."""


def node_of(tag: str) -> int:
    """Return the number of the node that has the keys with this hash tag."""
    return binascii.crc_hqx(tag.encode(), 0) % 16_384 * 3 // 16_384


class CanaryNames(random.Random):
    """Names canaries so that they sing on one node."""

    def __init__(self, node: int) -> None:
        super().__init__(1)
        self._node = node

    def getrandbits(self, size: int, /) -> int:
        while True:
            number = super().getrandbits(size)
            if node_of(f"canary{number:016x}") == self._node:
                return number


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    running = ValkeyCluster()
    asyncio.run(running.start())
    yield running
    asyncio.run(running.aclose())


@pytest.fixture
async def store(cluster: ValkeyCluster) -> AsyncIterator[MemoryStore]:
    await cluster.flush()
    store = await opened(cluster.settings(index_name=BESIDE_ALICE))
    yield store
    await store.aclose()


async def opened(settings: ValkeySettings) -> ValkeyStore:
    """Return a store whose canary sings beside the index: it rightly refuses a cluster that is not searched whole."""
    rng = CanaryNames(node_of(owner_key("alice")))
    return await ValkeyStore.open(settings, dimension=DIMENSION, embedding_model=MODEL, rng=rng)


class TestClusterStore(
    CreatingContract,
    ReadingContract,
    ChangingContract,
    SearchingContract,
    ScanningContract,
    MergingContract,
    CommittingContract,
    QuarantineContract,
    StateContract,
    RaceContract,
):
    """The contract but for isolation, which searches as many owners; below it is tried without vectors."""


async def test_owners_are_spread_over_the_nodes(store: MemoryStore, cluster: ValkeyCluster) -> None:
    make = RecordFactory(store.capabilities)
    records = [make.make(user_id=owner) for owner in OWNERS for _ in range(3)]
    await store.create(records)
    assert min(await cluster.keys()) > len(OWNERS)
    for owner in OWNERS:
        mine = [record.id for record in reversed(records) if record.user_id == owner]
        page = await store.list(Scope(owner), ListQuery(limit=10, now=LATER))
        assert [record.id for record in page.records] == mine


async def test_a_scan_gives_the_owners_of_every_node_in_one_order(store: MemoryStore) -> None:
    make = RecordFactory(store.capabilities)
    records = [make.make(user_id=owner) for owner in OWNERS for _ in range(3)]
    await store.merge(records, mode=MergeMode.SKIP)
    found = [record async for page in store.scan(ScanQuery(page=20)) for record in page.records]
    expected = sorted(records, key=lambda record: (owner_key(record.user_id), record.id))
    assert [record.id for record in found] == [record.id for record in expected]
    assert {node_of(owner_key(record.user_id)) for record in found} == {0, 1, 2}
    assert await store.count(None) == len(records)


async def test_spaces_are_spread_over_the_nodes_and_listed_from_all(store: MemoryStore, cluster: ValkeyCluster) -> None:
    names = [f"space{number}" for number in range(60)]
    before = await cluster.keys()
    for name in names:
        await store.state.put(name, "key", b"", now=NOW)
    assert all(after - held > 10 for held, after in zip(before, await cluster.keys(), strict=True))
    assert sorted([name async for name in store.state.spaces("space")]) == sorted(names)
    for name in names:
        await store.state.drop(name)
    assert [name async for name in store.state.spaces()] == []


async def test_hostile_owners_stay_apart_on_every_node(store: MemoryStore) -> None:
    make = RecordFactory(store.capabilities)
    records = {user: make.make(f"fact of {user}", user_id=user) for user in HOSTILE_IDENTITIES}
    await store.create(list(records.values()))
    for user, record in records.items():
        query = StoreQuery(vector=record.embedding, k=5, now=LATER, scan_limit=1000)
        answer = await store.search(Scope(user), query)
        assert [found.id for found in answer.records or ()] == [record.id]
        assert answer.complete
        assert await store.get(Scope(user), [other.id for other in records.values()], now=LATER) != []
        assert await store.touch(Scope(user), [other.id for other in records.values()], now=LATER) == 1
    for user in records:
        assert await store.delete(Scope(user), EVERYTHING) == 1


@pytest.mark.parametrize("answered", [False, True])
async def test_a_change_to_memories_of_the_go_router_is_finished_by_doing_it_again(
    cluster: ValkeyCluster, answered: bool
) -> None:
    """They stand in other slots: whichever step the cluster is lost at, each memory is there once and none is lost."""
    settings = cluster.settings(index_name=BESIDE_ALICE)
    for step in count():
        await cluster.flush()
        connection = await Connection.open(settings)
        index = SearchIndex(connection, settings, dimension=DIMENSION, embedding_model=MODEL)
        await index.create(legacy=True)
        store = await opened(settings)
        make = RecordFactory(store.capabilities)
        old, gone = make.many(2, source=Source.API, trust=Trust.MODEL)
        for record in (old, gone):
            fields = to_fields(record, dimension=DIMENSION, embedding_model=MODEL)
            pairs = [part for name in GO_FIELDS for part in (name, fields[name])]
            await connection.run(["HSET", f"mem:{record.id}", *pairs])
        new = replace(old, superseded_by="m9")
        cutting = CuttingClient(store, step=step, answered=answered)
        with contextlib.suppress(StoreUnavailable):
            await store.commit(Change("alice", after=0, put=[new], remove=frozenset({gone.id})))
        cutting.mend()
        ids = [old.id, gone.id]
        assert await of_alice(store, ids) in (plainly(old, gone), plainly(new), plainly(new, gone))
        after = (await store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER))).generation
        assert await store.commit(Change("alice", after=after, put=[new], remove=frozenset({gone.id}))) is not None
        assert await of_alice(store, ids) == plainly(new)
        assert (await store.list(ALICE, ListQuery(limit=9, now=LATER))).total == 0
        assert await connection.run(["EXISTS", *(f"mem:{name}" for name in ids)]) == 0
        await connection.aclose()
        await store.aclose()
        if not cutting.lost:
            break
    assert step > 3


async def of_alice(store: MemoryStore, ids: list[str]) -> list[dict[str, Any]]:
    return plainly(*await store.get(ALICE, ids, now=LATER))


def plainly(*records: MemoryRecord) -> list[dict[str, Any]]:
    return [plain(record) for record in records]


async def test_a_cluster_that_is_not_searched_whole_is_refused(cluster: ValkeyCluster) -> None:
    await cluster.flush()
    rng = CanaryNames((node_of("mem_idx") + 1) % 3)
    with pytest.raises(StoreUnavailable, match="every node"):
        await ValkeyStore.open(cluster.settings(), dimension=DIMENSION, embedding_model=MODEL, rng=rng)


async def test_a_lost_node_takes_only_its_own_owners_away() -> None:
    async with ValkeyCluster(args=("--cluster-require-full-coverage", "no")) as cluster:
        store = await opened(cluster.settings(timeout=1, index_name=BESIDE_ALICE))
        make = RecordFactory(store.capabilities)
        await store.create([make.make(user_id=owner) for owner in OWNERS])
        await cluster.nodes[1].kill()
        outcomes = await asyncio.gather(
            *(store.delete(Scope(owner), EVERYTHING) for owner in OWNERS), return_exceptions=True
        )
        for owner, outcome in zip(OWNERS, outcomes, strict=True):
            if node_of(owner_key(owner)) == 1:
                assert isinstance(outcome, StoreUnavailable)
            else:
                assert outcome == 1
        await store.aclose()


async def test_a_store_that_is_not_told_of_the_cluster_says_what_to_set(cluster: ValkeyCluster) -> None:
    await cluster.flush()
    node = cluster.nodes[(node_of("mem_idx") + 1) % 3]
    with pytest.raises(StoreUnavailable, match="cluster: true"):
        await ValkeyStore.open(node.settings(), dimension=DIMENSION, embedding_model=MODEL)
