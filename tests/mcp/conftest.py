"""An MCP server over a real store and real retrieval, and the SDK's own client in front of it."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client

from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.mcp.server import open_memory_server
from memrouter.memory.service import MemoryService
from memrouter.models.memory import Scope
from memrouter.runtime import Runtime

ANN = Scope("ann")
BLOCKED = "codeword zebra"

Connect = Callable[..., Client]


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    store: dict[str, Any] = {
        "embedding_model": "hash",
        "sqlite": {"path": str(tmp_path / "memories.db"), "synchronous": "normal"},
        "reflection": {"block_patterns": [BLOCKED]},
        "adaptive_threshold": False,
        "default_similarity_threshold": 0.5,
    }
    settings = load_settings(None, env={}, overrides={"global": {"stores": {"memory": store}}}).settings
    opened = await Runtime.open(settings, env={}, clock=SystemClock(), rng=random.Random(1))
    yield opened
    await opened.aclose()


@pytest.fixture
def service(runtime: Runtime) -> MemoryService:
    assert runtime.memory is not None
    return runtime.memory


@pytest.fixture
def connect(runtime: Runtime) -> Connect:
    """Give a client of somebody; it is to be entered."""

    def connected(scope: Scope = ANN, mode: str = "auto") -> Client:
        return Client(open_memory_server(runtime, scope_of=lambda _: scope), mode=mode, cache=None)

    return connected


@pytest.fixture
async def ann(connect: Connect) -> AsyncIterator[Client]:
    """Ann's client, entered and left in a task of its own: the SDK's scopes demand one task, fixtures have two."""
    opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def stay() -> None:
        async with connect() as client:
            opened.set_result(client)
            await over.wait()

    staying = asyncio.create_task(stay())
    await asyncio.wait((opened, staying), return_when=asyncio.FIRST_COMPLETED)
    yield opened.result()
    over.set()
    await staying
