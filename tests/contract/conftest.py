"""Makes failures inside the contract suite readable, and gives it a Valkey server."""

import os
from collections.abc import Iterator

import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.testing.valkey import ValkeyServer, apart, some_server

pytest.register_assert_rewrite("memrouter.testing.store_contract")


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeySettings]:
    """A server that all of the contract shares."""
    with some_server(os.environ) as settings:
        yield settings


@pytest.fixture
def valkey(valkey_server: ValkeySettings) -> ValkeySettings:
    """Settings with keys and an index of their own."""
    return apart(valkey_server)


@pytest.fixture(scope="session")
def cache_server() -> Iterator[ValkeyServer]:
    """A server for the hot cache, without the Search module."""
    server = ValkeyServer(search=False)
    try:
        server.launch()
        server.wait_ready()
        yield server
    finally:
        server.close()
