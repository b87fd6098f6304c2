"""Stores of every kind for tests of what must hold on all of them."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from memrouter.config.memory import MilvusSettings, SqliteSettings, ValkeySettings
from memrouter.stores.base import MemoryStore
from memrouter.stores.milvus.store import MilvusStore
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.milvus import drop, elsewhere
from memrouter.testing.valkey import apart, forget, serving, some_server

from .fault_stores import DIMENSION, MODEL, OpenStore


@pytest.fixture(scope="module")
def valkey_server() -> Iterator[ValkeySettings]:
    with some_server(os.environ) as settings:
        yield settings


@pytest.fixture(scope="module")
def collection(milvus_server: MilvusSettings) -> Iterator[MilvusSettings]:
    settings = elsewhere(milvus_server, index_algorithm="flat")
    yield settings
    asyncio.run(drop(settings))


@pytest.fixture(params=["sqlite", "valkey", "milvus"])
def backend(request: pytest.FixtureRequest) -> str:
    """The kind of store that a test runs on."""
    return str(request.param)


@pytest.fixture
async def open_store(request: pytest.FixtureRequest, tmp_path: Path, backend: str) -> AsyncIterator[OpenStore]:
    """Opens stores of several routers on one server; users of an earlier test may be there still."""
    async with AsyncExitStack() as stack:
        settings: SqliteSettings | ValkeySettings | MilvusSettings
        if backend == "sqlite":
            settings = SqliteSettings(path=str(tmp_path / "memories.db"), synchronous="normal")
        elif backend == "valkey":
            settings = apart(request.getfixturevalue("valkey_server"))
            stack.push_async_callback(forget, settings)
        else:
            settings = request.getfixturevalue("collection")

        async def opened() -> MemoryStore:
            store = await _opened(settings)
            stack.push_async_callback(store.aclose)
            return store

        yield opened


async def _opened(settings: SqliteSettings | ValkeySettings | MilvusSettings) -> MemoryStore:
    if isinstance(settings, SqliteSettings):
        return await SqliteStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)
    if isinstance(settings, MilvusSettings):
        return await MilvusStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)
    store = await ValkeyStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)
    await serving(store)
    return store
