"""An open SQLite store and the means to open its file again."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import RecordFactory
from memrouter.testing.valkey import ValkeyServer

DIMENSION = 16
MODEL = "test-model"

OpenStore = Callable[[], Awaitable[SqliteStore]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memories.db"


@pytest.fixture
async def open_store(path: Path) -> AsyncIterator[OpenStore]:
    async with AsyncExitStack() as stack:

        async def opened() -> SqliteStore:
            store = await SqliteStore.open(SqliteSettings(path=str(path)), dimension=DIMENSION, embedding_model=MODEL)
            stack.push_async_callback(store.aclose)
            return store

        yield opened


@pytest.fixture
async def store(open_store: OpenStore) -> SqliteStore:
    return await open_store()


@pytest.fixture
def make(store: SqliteStore) -> RecordFactory:
    return RecordFactory(store.capabilities)


@pytest.fixture(scope="session")
def shared_server() -> Iterator[ValkeyServer]:
    """A server for the hot cache that many tests share, each with keys of its own."""
    yield from _running()


@pytest.fixture
def own_server() -> Iterator[ValkeyServer]:
    """A server for the hot cache that this test may kill."""
    yield from _running()


def _running() -> Iterator[ValkeyServer]:
    server = ValkeyServer(search=False)
    try:
        server.launch()
        server.wait_ready()
        yield server
    finally:
        server.close()
