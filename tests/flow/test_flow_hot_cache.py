"""A whole router with the hot cache in front of its store: faster while the cache is there, the same without it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from memrouter.testing.valkey import ValkeyServer

from .conftest import new_user
from .servers import Router, router_config, running_router

FACT = "My canary is called Figaro and I bought it in Porto last spring."
QUESTION = "How is my canary called?"


@pytest.fixture
def cache(tmp_path: Path) -> ValkeyServer:
    folder = tmp_path / "cache"
    folder.mkdir()
    return ValkeyServer(directory=folder, search=False)


@pytest_asyncio.fixture(loop_scope="session")
async def router(tmp_path: Path, cache: ValkeyServer, echo_server: str) -> AsyncIterator[Router]:
    memory = {
        "redis_cache": {"enabled": True, "address": f"127.0.0.1:{cache.port}"},
        "limits": {"working_set_bytes": 0},
    }
    async with cache, running_router(tmp_path, router_config({"qwen3": [echo_server]}, memory=memory)) as running:
        yield running


async def test_a_repeated_question_is_answered_from_the_cache_and_without_it(
    router: Router, cache: ValkeyServer
) -> None:
    reader = router.caller(new_user(), x_authz_user_groups="read_only")
    await reader.remember(FACT)
    for _ in range(3):
        assert (await reader.chat(QUESTION, model="qwen3")).memory == "used"
    assert await router.metric("memrouter_cache_searches_total", outcome="miss") == 1
    assert await router.metric("memrouter_cache_searches_total", outcome="hit") == 2
    await cache.kill()
    for _ in range(2):
        assert (await reader.chat(QUESTION, model="qwen3")).memory == "used"
    assert await router.metric("memrouter_cache_searches_total", outcome="unavailable") == 2
    assert await router.metric("memrouter_cache_operations_total", operation="read", outcome="failed") == 1
    assert (await reader.request("DELETE", "/v1/memory")).status == 200
    assert (await reader.chat(QUESTION, model="qwen3")).memory == "missing"
