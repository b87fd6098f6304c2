"""A Valkey server of these tests' own: what others do on a shared one would show in its figures."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.stores.valkey.connection import Connection
from memrouter.testing.valkey import some_server


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeySettings]:
    with some_server(os.environ) as settings:
        if settings.cluster:
            pytest.skip("the nodes of a cluster share what one server's figures show")
        yield settings


@pytest.fixture
async def connection(valkey: ValkeySettings) -> AsyncIterator[Connection]:
    connection = await Connection.open(valkey)
    yield connection
    await connection.aclose()
