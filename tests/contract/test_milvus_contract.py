"""The store contract on Milvus Standalone and on Milvus Lite."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from memrouter.config.memory import MilvusSettings
from memrouter.stores.base import MemoryStore
from memrouter.stores.milvus.store import MilvusStore
from memrouter.testing.milvus import drop, elsewhere, emptied
from memrouter.testing.store_contract import StoreContract
from memrouter.testing.store_contract.changing import ChangingContract
from memrouter.testing.store_contract.creating import CreatingContract
from memrouter.testing.store_contract.searching import SearchingContract


async def opened(settings: MilvusSettings) -> MilvusStore:
    return await MilvusStore.open(settings, dimension=24, embedding_model="contract-model")


@pytest.fixture(scope="module")
def standalone(milvus_server: MilvusSettings) -> Iterator[MilvusSettings]:
    settings = elsewhere(milvus_server, index_algorithm="flat")
    yield settings
    asyncio.run(drop(settings))


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> MilvusSettings:
    return elsewhere(MilvusSettings(address=str(tmp_path_factory.mktemp("lite") / "memories.db")))


class MilvusFixtures:
    """The tests share one collection, which each of them finds empty: to make one takes seconds."""

    @pytest.fixture
    async def store(self, collection: MilvusSettings) -> AsyncIterator[MemoryStore]:
        store = await opened(collection)
        yield store
        await store.aclose()
        await emptied(collection)

    @pytest.fixture
    async def neighbour(self, store: MemoryStore, collection: MilvusSettings) -> AsyncIterator[MemoryStore]:
        neighbour = await opened(collection)
        yield neighbour
        await neighbour.aclose()


class TestMilvusStandalone(MilvusFixtures, StoreContract):
    @pytest.fixture
    def collection(self, standalone: MilvusSettings) -> MilvusSettings:
        return standalone


class TestMilvusLite(MilvusFixtures, CreatingContract, ChangingContract, SearchingContract):
    """What else there is runs on the same code, and Milvus Lite is slow."""

    @pytest.fixture
    def collection(self, lite: MilvusSettings) -> MilvusSettings:
        return lite
