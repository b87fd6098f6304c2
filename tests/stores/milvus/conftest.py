"""Collections of their own on the one Milvus of the test run, for what must not share one."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from memrouter.config.memory import MilvusSettings
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.store import MilvusStore
from memrouter.testing.milvus import drop, elsewhere, emptied
from memrouter.testing.records import RecordFactory

DIMENSION = 16
MODEL = "test-model"


async def milvus_store(settings: MilvusSettings) -> MilvusStore:
    return await MilvusStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)


@pytest.fixture(scope="session")
def shared_collection(milvus_server: MilvusSettings) -> Iterator[MilvusSettings]:
    """One collection for all of these tests; each finds it empty."""
    settings = elsewhere(milvus_server)
    yield settings
    asyncio.run(drop(settings))


@pytest.fixture
def own_settings(milvus_server: MilvusSettings) -> Iterator[MilvusSettings]:
    """A collection for one test, which may do to it what it likes; it is made when a store is opened."""
    settings = elsewhere(milvus_server)
    yield settings
    asyncio.run(drop(settings))


@pytest.fixture
async def store(shared_collection: MilvusSettings) -> AsyncIterator[MilvusStore]:
    store = await milvus_store(shared_collection)
    yield store
    await store.aclose()
    await emptied(shared_collection)


@pytest.fixture
async def other(store: MilvusStore, shared_collection: MilvusSettings) -> AsyncIterator[MilvusStore]:
    """The store of another router."""
    other = await milvus_store(shared_collection)
    yield other
    await other.aclose()


@pytest.fixture
async def client(shared_collection: MilvusSettings) -> AsyncIterator[Connection]:
    """A connection of the test's own, to look behind a store."""
    connection = await Connection.open(shared_collection)
    yield connection
    await connection.aclose()


@pytest.fixture
def make(store: MilvusStore) -> RecordFactory:
    return RecordFactory(store.capabilities)
