"""One router and one echoing model server for most tests, each test with users of its own."""

import os
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from memrouter.demo.processes import echo_upstream, free_port, server
from memrouter.testing.upstream import ScriptedUpstream

from .servers import CANARY, Caller, Router, router_config, running_router

HERE = Path(__file__).parent

Someone = Callable[[], Caller]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder in one event loop, the one that the shared servers live in."""
    for item in items:
        if item.path.is_relative_to(HERE) and isinstance(item, pytest.Function):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def scripted_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def second_port() -> int:
    return free_port()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def echo_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """``host:port`` of a real model server that answers with the last user message."""
    folder, port = tmp_path_factory.mktemp("echo"), free_port()
    url = f"http://127.0.0.1:{port}/v1/models"
    async with server(echo_upstream(port, folder), ready_url=url, log=folder / "echo.log", env=os.environ):
        yield f"127.0.0.1:{port}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def router(
    tmp_path_factory: pytest.TempPathFactory, echo_server: str, scripted_port: int, second_port: int
) -> AsyncIterator[Router]:
    """The shared router; see router.yaml."""
    async with running_router(
        tmp_path_factory.mktemp("shared"),
        HERE / "router.yaml",
        SCRIPTED=f"127.0.0.1:{scripted_port}",
        SECOND=f"127.0.0.1:{second_port}",
        ECHO_SERVER=echo_server,
    ) as shared:
        yield shared


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def merging_router(tmp_path_factory: pytest.TempPathFactory, echo_server: str) -> AsyncIterator[Router]:
    """A router that merges memories into the user's message, so that the echoing server repeats them."""
    config = router_config({"qwen3": [echo_server]}, memory={"injection": {"style": "merge_into_user"}})
    async with running_router(tmp_path_factory.mktemp("merging"), config) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def upstream(scripted_port: int) -> AsyncIterator[ScriptedUpstream]:
    """The shared router's model server for one test."""
    async with ScriptedUpstream(port=scripted_port) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def second_upstream(second_port: int) -> AsyncIterator[ScriptedUpstream]:
    """The other backend of model ``twin``."""
    async with ScriptedUpstream(port=second_port) as running:
        yield running


@pytest.fixture
def someone(router: Router) -> Someone:
    """Makes callers of the shared router whom nobody else is."""
    return lambda: router.caller(new_user())


@pytest.fixture
def alice(someone: Someone) -> Caller:
    return someone()


def new_user() -> str:
    return f"{CANARY}-{uuid.uuid4().hex}"
