"""What the flow tests on Valkey share: a router's configuration, and how to see that memory is back."""

import asyncio
import json
from pathlib import Path
from typing import Any

from memrouter.testing.upstream import ScriptedUpstream
from memrouter.testing.valkey import ValkeyServer

from .servers import Caller, JsonObject, Router, router_config

PATIENCE_SECONDS = 60.0
"""After which a test gives up waiting for memory to come back."""


def on_valkey(valkey: ValkeyServer, upstream: ScriptedUpstream, **memory: Any) -> JsonObject:
    """Return the configuration of a router that keeps its memories in ``valkey``."""
    settings = {"host": "127.0.0.1", "port": valkey.port, "timeout": 2}
    return router_config({"scripted": [upstream.endpoint]}, memory={"backend": "valkey", "valkey": settings, **memory})


def hot_cache(valkey: ValkeyServer) -> JsonObject:
    """Return the setting of a hot cache on the same server."""
    return {"redis_cache": {"enabled": True, "address": f"127.0.0.1:{valkey.port}"}}


def durable(folder: Path, fsync: str = "always") -> ValkeyServer:
    """Return a server that writes everything to its log, to be started."""
    folder.mkdir()
    return ValkeyServer(directory=folder, args=("--appendonly", "yes", "--appendfsync", fsync))


async def store_status(router: Router) -> JsonObject:
    """Return what /ready says about the store; the router itself must be able to serve."""
    answer = await router.get("/ready")
    assert answer.status == 200
    found: JsonObject = answer.json()["checks"]["memory_store"]
    return found


async def memory_is_back(router: Router, reader: Caller) -> None:
    """Wait until /ready and a chat both say so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await store_status(router))["status"] != "ok" or await asks(reader) not in ("used", "missing"):
            await asyncio.sleep(0.05)


async def everything_is_on_disk(valkey: ValkeyServer) -> None:
    """Wait until all that the server has acknowledged so far is in its log, and the log on the disk."""
    reader, writer = await asyncio.open_connection("127.0.0.1", valkey.port)
    try:
        writer.write(b"SET fence 1\r\nWAITAOF 1 0 0\r\n")  # which waits for the writes of its own connection
        assert [await reader.readline() for _ in range(4)] == [b"+OK\r\n", b"*2\r\n", b":1\r\n", b":0\r\n"]
    finally:
        writer.close()


async def asks(reader: Caller, question: str = "What do you know about my canary?") -> str:
    """Ask something that is not stored; return the memory status. The chat must be answered in any case."""
    answer = await reader.having(x_authz_user_groups="read_only").chat(question)
    assert answer.status == 200, answer.body
    assert answer.text == "ok"
    return str(answer.memory)


async def every_content(caller: Caller) -> list[str]:
    """Return the contents of all memories of a caller, newest first."""
    contents: list[str] = []
    path = "/v1/memory?limit=100"
    while True:
        page = (await caller.request("GET", path)).json()
        contents += [memory["content"] for memory in page["memories"]]
        if not page.get("next_cursor"):
            return contents
        path = f"/v1/memory?limit=100&cursor={page['next_cursor']}"


async def try_to_remember(caller: Caller, content: str) -> bool:
    """Return whether the router has acknowledged this memory."""
    body = json.dumps({"memories": [{"content": content}]}).encode()
    status: int = (await caller.request("POST", "/v1/memory", body)).status
    assert status in (201, 503)
    return status == 201
