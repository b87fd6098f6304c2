"""One open store for a module's tests, each test with a user of its own."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

import memrouter
from memrouter.config.load import load_settings
from memrouter.embedded import UserMemory


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[UserMemory]:
    path = tmp_path_factory.mktemp("memories") / "memrouter.db"
    store = {"sqlite": {"path": str(path), "synchronous": "normal"}}
    settings = load_settings(None, env={}, overrides={"global": {"stores": {"memory": store}}}).settings
    async with memrouter.open(settings, user="nobody") as memory:
        yield memory


@pytest.fixture
def memory(opened: UserMemory) -> UserMemory:
    return opened.of(f"user-{uuid.uuid4()}")
