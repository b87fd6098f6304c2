"""Collections of their own on the one Milvus of the test run, for what must not share one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from memrouter.config.memory import MilvusSettings
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.store import MilvusStore
from memrouter.testing.clock import ManualClock
from memrouter.testing.milvus import drop, elsewhere, emptied
from memrouter.testing.records import NOW, RecordFactory

DIMENSION = 16
MODEL = "test-model"

Opened = Callable[..., Awaitable[MilvusStore]]


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
async def opened(store: MilvusStore, shared_collection: MilvusSettings) -> AsyncIterator[Opened]:
    """Opens stores of further routers, each with a clock of its own that stands still.

    One that does not wait takes at once for killed whoever is in the middle of a write.
    """
    stores: list[MilvusStore] = []

    async def open_(clock: ManualClock | None = None, *, waits: bool = True) -> MilvusStore:
        clock = clock or ManualClock(NOW)
        found = await MilvusStore.open(shared_collection, dimension=DIMENSION, embedding_model=MODEL, clock=clock)
        if not waits:
            found._writes._journal._settle_seconds = found.state._claim_seconds = 0.0
        stores.append(found)
        return found

    yield open_
    for each in stores:
        await each.aclose()


@pytest.fixture
async def client(shared_collection: MilvusSettings) -> AsyncIterator[Connection]:
    """A connection of the test's own, to look behind a store."""
    connection = await Connection.open(shared_collection)
    yield connection
    await connection.aclose()


@pytest.fixture
def make(store: MilvusStore) -> RecordFactory:
    return RecordFactory(store.capabilities)
