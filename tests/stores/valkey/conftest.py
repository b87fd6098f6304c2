"""A Valkey server that these tests share, and stores with keys and an index of their own on it."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.records import RecordFactory
from memrouter.testing.valkey import apart, forget, serving, some_server

DIMENSION = 16


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeySettings]:
    with some_server(os.environ) as settings:
        yield settings


@pytest.fixture
async def valkey(valkey_server: ValkeySettings) -> AsyncIterator[ValkeySettings]:
    settings = apart(valkey_server)
    yield settings
    await forget(settings)


@pytest.fixture
def settings(valkey: ValkeySettings) -> ValkeySettings:
    """The same, for tests of the parts below the store."""
    return valkey


@pytest.fixture
async def valkey_store(valkey: ValkeySettings) -> AsyncIterator[ValkeyStore]:
    store = await ValkeyStore.open(valkey, dimension=DIMENSION, embedding_model="test-model")
    await serving(store)
    yield store
    await store.aclose()


@pytest.fixture
async def connection(valkey: ValkeySettings) -> AsyncIterator[Connection]:
    """A connection of the test's own, to look behind a store or to work without one."""
    connection = await Connection.open(valkey)
    yield connection
    await connection.aclose()


@pytest.fixture
def records(valkey_store: ValkeyStore) -> RecordFactory:
    return RecordFactory(valkey_store.capabilities)
