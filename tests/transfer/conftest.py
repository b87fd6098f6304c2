"""Stores for moving memories between."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from memrouter.config.memory import SqliteSettings, ValkeySettings
from memrouter.stores.base import MemoryStore
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.valkey import some_server

from .samples import ABOUT, DIMENSION

OpenStore = Callable[..., Awaitable[MemoryStore]]


@pytest.fixture
async def open_sqlite(tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Open databases by their names."""
    async with AsyncExitStack() as opened:

        async def one(name: str, *, dimension: int = DIMENSION, model: str = ABOUT.embedding_model) -> MemoryStore:
            settings = SqliteSettings(path=str(tmp_path / f"{name}.db"), synchronous="normal")
            store = await SqliteStore.open(settings, dimension=dimension, embedding_model=model)
            opened.push_async_callback(store.aclose)
            return store

        yield one


@pytest.fixture
async def store(open_sqlite: OpenStore) -> MemoryStore:
    return await open_sqlite("store")


@pytest.fixture(scope="module")
def valkey_server() -> Iterator[ValkeySettings]:
    """A server that the tests of a module share."""
    with some_server(os.environ) as settings:
        yield settings
