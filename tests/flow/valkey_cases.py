"""What the flow tests on Valkey share: a router's configuration, and how to see that memory is back."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from memrouter.testing.upstream import ScriptedUpstream
from memrouter.testing.valkey import ValkeyServer

from .servers import Caller, JsonObject, Router, router_config

RECOVERY_SECONDS = 5.0


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


async def seconds_to_recover(router: Router, reader: Caller) -> float:
    """Wait until /ready and a chat both say that memory is back; return how long that took."""
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < 10 * RECOVERY_SECONDS:
        if (await store_status(router))["status"] == "ok" and (await asks(reader)) in ("used", "missing"):
            return passed
        await asyncio.sleep(0.05)
    raise AssertionError(f"memory is not back: {await store_status(router)}")


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
