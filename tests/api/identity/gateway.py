"""A whole router over real sockets, with the settings of a test and a scripted model server behind it."""

import asyncio
import random
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from memrouter.api.app import create_app
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.runtime import Runtime
from memrouter.testing.upstream import ScriptedUpstream

CHAT = {"model": "qwen3", "messages": [{"role": "user", "content": "What is the name of my cat?"}]}
OPEN_ROUTES = ("/health", "/ready", "/metrics", "/openapi.json", "/docs")


@dataclass
class Gateway:
    client: httpx.AsyncClient
    runtime: Runtime
    upstream: ScriptedUpstream

    async def routes(self) -> list[tuple[str, str]]:
        """Return method and path of every route that is described and not open to all."""
        paths = (await self.client.get("/openapi.json")).json()["paths"]
        return [
            (method.upper(), re.sub(r"\{[^}]*\}", "x", path))
            for path, methods in paths.items()
            for method in methods
            if path not in OPEN_ROUTES
        ]

    async def chat(self, headers: Mapping[str, str], **fields: Any) -> httpx.Response:
        return await self.client.post("/v1/chat/completions", json={**CHAT, **fields}, headers=headers)

    async def remember(self, headers: Mapping[str, str], content: str) -> httpx.Response:
        return await self.client.post("/v1/memory", json={"content": content}, headers=headers)

    async def contents(self, headers: Mapping[str, str]) -> list[str]:
        answer = await self.client.get("/v1/memory", headers=headers)
        assert answer.status_code == 200, answer.text
        return [memory["content"] for memory in answer.json()["memories"]]


@asynccontextmanager
async def running_gateway(folder: Path, *, memory: bool = True, **global_: Any) -> AsyncIterator[Gateway]:
    async with ScriptedUpstream() as upstream:
        store = {"embedding_model": "hash", "sqlite": {"path": str(folder / "memories.db"), "synchronous": "normal"}}
        overrides = {
            "providers": {"models": [{"name": "qwen3", "backend_refs": [{"base_url": upstream.url}]}]},
            "global": {"stores": {"memory": {**store, "enabled": memory}}, **global_},
        }
        settings = load_settings(None, env={}, overrides=overrides).settings
        runtime = await Runtime.open(settings, env={}, clock=SystemClock(), rng=random.Random(1))
        try:
            app = create_app(runtime, settings.listeners[0])
        except BaseException:
            await runtime.aclose()
            raise
        bound = socket.create_server(("127.0.0.1", 0))
        # As `memrouter serve` does, the address of the connection is taken as it is.
        config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}") as client:
                yield Gateway(client, runtime, upstream)
        finally:
            server.should_exit = True
            await serving
            await runtime.aclose()
