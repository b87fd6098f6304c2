"""A store on a cluster: owners are spread over the nodes, and every step of one owner stays on one of them.

The nodes search with RediSearch, which knows nothing of the cluster: only the node with the index's own slot has the
index. So the index lies beside Alice here, vector search is tried for her, and everything else for everybody.
"""

import asyncio
import binascii
import random
from collections.abc import AsyncIterator, Iterator

import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.models.memory import Scope, owner_key
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import EVERYTHING, ListQuery, MergeMode, ScanQuery, StoreQuery
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.records import HOSTILE_IDENTITIES, NOW, RecordFactory
from memrouter.testing.store_contract.changing import ChangingContract
from memrouter.testing.store_contract.creating import CreatingContract
from memrouter.testing.store_contract.merging import MergingContract
from memrouter.testing.store_contract.races import RaceContract
from memrouter.testing.store_contract.reading import ReadingContract
from memrouter.testing.store_contract.scanning import ScanningContract
from memrouter.testing.store_contract.searching import SearchingContract
from memrouter.testing.valkey_cluster import ValkeyCluster

DIMENSION, MODEL = 24, "contract-model"
LATER = NOW + 10**9
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
