"""One router and one browser for the tests of the inspector, each test with users of its own."""

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from ..flow.conftest import new_user
from ..flow.servers import Router, router_config, running_router
from .browsing import OpenGuest, guests, real_browser
from .in_process import Connect, Inspected, inspected

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder in one event loop, the one that browser and router live in."""
    for item in items:
        is_async = isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function)
        if is_async and item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with real_browser() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def router(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Router]:
    """A router on this machine that believes names; members of ``ops`` are operators. Its model server is down."""
    config = router_config({"qwen3": ["127.0.0.1:9"]})
    config["global"]["auth"] = {"operator_groups": ["ops"]}
    async with running_router(tmp_path_factory.mktemp("inspected"), config) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def guest(browser: Browser, router: Router) -> AsyncIterator[OpenGuest]:
    """Opens windows: ``await guest()`` is one of somebody new who has signed in."""
    async with guests(browser, router, new_user) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Inspected]:
    """The inspector in this process, where a test may say where a request comes from and what it holds."""
    async with inspected(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


@pytest.fixture
def someone() -> Callable[[], str]:
    """Makes names of users whom nobody else is."""
    return new_user


@pytest_asyncio.fixture(loop_scope="session")
async def connect() -> AsyncIterator[Connect]:
    """Opens clients of an inspector in this process; they are closed at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def connected(
            inspected: Inspected, *, peer: str = "127.0.0.1", host: str = "127.0.0.1:8888", **headers: str
        ) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(app=inspected.app, client=(peer, 50_000))
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            return await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url=f"http://{host}", headers=sent)
            )

        yield connected
