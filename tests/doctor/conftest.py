"""A doctor with an upstream that can be reached, and real servers that end with the test."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from memrouter.testing.valkey import ValkeyServer

from .clinic import Doctor, Launch


@pytest.fixture
def doctor(tmp_path: Path) -> Iterator[Doctor]:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        yield Doctor(tmp_path, f"127.0.0.1:{upstream.getsockname()[1]}")


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Start servers that end with the test."""
    with contextlib.ExitStack() as stack:

        def started(*args: str, search: bool = True) -> ValkeyServer:
            server = ValkeyServer(args=args, search=search)
            stack.callback(server.close)
            server.launch()
            server.wait_ready()
            return server

        yield started
