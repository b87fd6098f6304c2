"""A client that only speaks stdio reaches a running router's memories."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from memrouter.api.app import create_app
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.errors import MemrouterError
from memrouter.mcp.bridge import open_bridge
from memrouter.runtime import Runtime

from .calls import done, refused, remembered, resource

ANN = {"x-authz-user-id": "ann"}
PEANUTS = "The user is allergic to peanuts."


@contextlib.asynccontextmanager
async def router(folder: Path, *, enabled: bool = True, port: int = 0) -> AsyncIterator[str]:
    store = {"embedding_model": "hash", "sqlite": {"path": str(folder / "memories.db"), "synchronous": "normal"}}
    overrides = {"global": {"mcp": {"enabled": enabled}, "stores": {"memory": store}}}
    settings = load_settings(None, env={}, overrides=overrides).settings
    runtime = await Runtime.open(settings, env={}, clock=SystemClock(), rng=random.Random(1))
    bound = socket.create_server(("127.0.0.1", port))
    app = create_app(runtime, settings.listeners[0])
    server = uvicorn.Server(uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        await runtime.aclose()


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_everything_is_passed_on_both_ways(tmp_path: Path, mode: str) -> None:
    async with (
        router(tmp_path) as url,
        open_bridge(f"{url}/v1/", ANN) as bridge,
        Client(bridge.build(), mode=mode, cache=None) as client,
    ):
        assert "memory about the user" in (client.instructions or "")
        assert [tool.name for tool in (await client.list_tools()).tools][:2] == ["remember", "recall"]
        name = await remembered(client, PEANUTS)
        assert (await done(client, "recall", query="peanuts"))["found"][0]["memory"]["id"] == name
        assert "no memory has this id" in await refused(client, "forget", id="nobody's")
        assert (await client.list_resources()).resources
        assert (await client.list_resource_templates()).resource_templates
        assert PEANUTS in await resource(client, "memory://profile")
        assert (await client.list_prompts()).prompts
        assert (await client.get_prompt("profile")).messages
        with pytest.raises(MCPError) as caught:
            await client.read_resource("memory://nothing")
        assert caught.value.code == INVALID_PARAMS


async def test_a_router_may_go_away_and_come_back(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as bridging:
        async with router(tmp_path) as url:
            bridge = await bridging.enter_async_context(open_bridge(url, ANN))
        async with Client(bridge.build(), cache=None) as client:
            with pytest.raises(MCPError, match="no answer from the router"):
                await client.call_tool("list", {})
            async with router(tmp_path, port=int(url.rpartition(":")[2])):
                assert (await done(client, "list"))["total"] == 0


async def test_a_router_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    async with router(tmp_path) as url:
        with pytest.raises(MemrouterError, match="nobody is identified"):
            async with open_bridge(url, {}):
                pass
    async with router(tmp_path, enabled=False) as url:
        with pytest.raises(MemrouterError, match=r"global\.mcp\.enabled"):
            async with open_bridge(url, ANN):
                pass
    with pytest.raises(MemrouterError, match="no MCP server answers at"):
        async with open_bridge(url, ANN):
            pass
