"""Real processes for the flow tests, a caller who talks to them, and the promise that they tell nothing."""

import asyncio
import contextlib
import io
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from openai import AsyncOpenAI
from prometheus_client.parser import text_string_to_metric_families

from memrouter.demo.processes import free_port, server

CANARY = "canary"
"""Stands in every user id and in what users say, so that a leak into a log or metric can be seen."""
PATIENCE = 200
"""Most polls, 50 ms apart, for something that happens after an answer."""

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Response:
    """What came back, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def memory(self) -> str | None:
        """The memory status."""
        return self.headers.get("x-memory-status")

    @property
    def text(self) -> str:
        """What the model said, of an answer that is not streamed."""
        return str(self.json()["choices"][0]["message"]["content"])


@dataclass(frozen=True, slots=True)
class Router:
    """A router that runs as a process of its own."""

    url: str
    process: asyncio.subprocess.Process
    log: Path
    database: Path
    http: aiohttp.ClientSession
    openai: AsyncOpenAI

    def caller(self, user: str | None, **headers: str) -> "Caller":
        """Return somebody who talks to this router; header names with ``_`` for ``-``."""
        return Caller(self, user, {name.replace("_", "-"): value for name, value in headers.items()})

    async def get(self, path: str) -> Response:
        async with self.http.get(self.url + path) as answer:
            return Response(answer.status, answer.headers.copy(), await answer.read())

    async def exchange(self, *pieces: bytes) -> str:
        """Send exactly these bytes over a connection of their own; return all that comes back until it closes."""
        reader, writer = await asyncio.open_connection(*self.url.removeprefix("http://").split(":"))
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return (await reader.read()).decode()
        finally:
            writer.close()
            await writer.wait_closed()

    async def metric(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of this name that have these labels."""
        families = text_string_to_metric_families((await self.get("/metrics")).body.decode())
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    async def logged(self, **fields: object) -> list[JsonObject]:
        """Wait until the log has records with these fields, and return them."""
        for _ in range(PATIENCE):
            records = [json.loads(line) for line in self.log.read_text().splitlines()]
            if found := [record for record in records if fields.items() <= record.items()]:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"nothing was logged with {fields}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who talks to a router, and can see and change the own memories."""

    router: Router
    user: str | None
    headers: Mapping[str, str] = field(default_factory=dict)

    def having(self, **headers: str) -> "Caller":
        """Return the same caller with further headers; ``_`` stands for ``-``."""
        return replace(self, headers={**self.headers, **{name.replace("_", "-"): v for name, v in headers.items()}})

    @property
    def all_headers(self) -> dict[str, str]:
        identity = {} if self.user is None else {"x-authz-user-id": self.user}
        return {"authorization": "Bearer test", "content-type": "application/json", **identity, **self.headers}

    @property
    def openai(self) -> AsyncOpenAI:
        """The official client, as this caller."""
        return self.router.openai.with_options(default_headers=self.all_headers)

    async def request(self, method: str, path: str, body: bytes | None = None) -> Response:
        async with self.router.http.request(
            method, self.router.url + path, data=None if body is None else io.BytesIO(body), headers=self.all_headers
        ) as answer:
            return Response(answer.status, answer.headers.copy(), await answer.read())

    @contextlib.asynccontextmanager
    async def streaming(self, said: str, *, model: str = "scripted") -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for a stream and give the answer as it begins."""
        async with self.router.http.post(
            f"{self.router.url}/v1/chat/completions",
            data=chat_body(said, model=model, stream=True),
            headers=self.all_headers,
        ) as answer:
            yield answer

    async def post(self, body: bytes) -> Response:
        """Send a chat request of exactly these bytes."""
        return await self.request("POST", "/v1/chat/completions", body)

    async def chat(self, *messages: str | JsonObject, model: str = "scripted", **fields: Any) -> Response:
        """Say something; plain text is a user message."""
        return await self.post(chat_body(*messages, model=model, **fields))

    async def remember(self, *contents: str) -> None:
        """Put memories into the store through the API."""
        new = {"memories": [{"content": content} for content in contents]}
        assert (await self.request("POST", "/v1/memory", json.dumps(new).encode())).status == 201

    async def memories(self) -> list[JsonObject]:
        """Return the newest 100 memories."""
        found: list[JsonObject] = (await self.request("GET", "/v1/memory?limit=100")).json()["memories"]
        return found

    async def stored(self, count: int) -> list[JsonObject]:
        """Wait until there are at least ``count`` memories, and return them."""
        for _ in range(PATIENCE):
            if len(memories := await self.memories()) >= count:
                return memories
            await asyncio.sleep(0.05)
        raise AssertionError(f"{count} memories were expected, {len(memories)} are there")

    async def stored_meanwhile(self, *, model: str = "scripted") -> list[JsonObject]:
        """Return all memories once a turn of now has been stored, without that turn.

        Turns are stored in the order in which they end, so whatever earlier turns left is there by then.
        """
        fence = f"This {CANARY} turn marks a place in the queue of turns, nothing else."
        assert (await replace(self, headers={}).chat(fence, model=model)).status == 200
        for _ in range(PATIENCE):
            memories = await self.memories()
            rest = [memory for memory in memories if fence not in memory["content"]]
            if len(rest) < len(memories):
                return rest
            await asyncio.sleep(0.05)
        raise AssertionError("the marking turn was not stored")


def chat_body(*messages: str | JsonObject, model: str = "scripted", **fields: Any) -> bytes:
    """Return a chat request; plain text is a user message."""
    wire = [{"role": "user", "content": item} if isinstance(item, str) else item for item in messages]
    return json.dumps({"model": model, "messages": wire, **fields}).encode()


def router_config(
    backends: Mapping[str, Sequence[str]], *, memory: JsonObject | None = None, server: JsonObject | None = None
) -> JsonObject:
    """Return a configuration with one decision: callers of group ``read_only`` have nothing stored.

    Args:
        backends: ``host:port`` of the servers by model; the first one is preferred.
        memory: ``global.stores.memory`` besides backend and file.
        server: ``global.server``.
    """
    models = [
        {
            "name": name,
            "backend_refs": [{"endpoint": place, "weight": int(not index)} for index, place in enumerate(places)],
        }
        for name, places in backends.items()
    ]
    return {
        "version": "v0.3",
        "listeners": [{"port": "${PORT}"}],
        "providers": {"models": models},
        "routing": {
            "signals": {"role_bindings": [{"name": "readers", "subjects": [{"kind": "Group", "name": "read_only"}]}]},
            "decisions": [
                {
                    "name": "read_only",
                    "rules": {"type": "authz", "name": "readers"},
                    "plugins": [{"type": "memory", "configuration": {"auto_store": False}}],
                }
            ],
        },
        "global": {
            "server": server or {},
            "stores": {"memory": {"backend": "sqlite", "sqlite": {"path": "${DATABASE}"}, **(memory or {})}},
        },
    }


@contextlib.asynccontextmanager
async def running_router(
    folder: Path, config: JsonObject | Path, *, discreet: bool = True, **variables: object
) -> AsyncIterator[Router]:
    """Run a router as a child process; its database and its log are in ``folder``.

    Args:
        folder: Exists; a second router in it goes on with the memories of the first.
        config: The configuration or its file; ``${PORT}`` and ``${DATABASE}`` stand for what is chosen here.
        discreet: Whether log and metrics must hold no word of a user at the end.
        variables: Further environment variables for the file.
    """
    file = config if isinstance(config, Path) else folder / "router.yaml"
    if not isinstance(config, Path):
        file.write_text(yaml.safe_dump(config))
    port, log, database = free_port(), folder / "router.log", folder / "memories.db"
    url = f"http://127.0.0.1:{port}"
    names = {"PORT": port, "DATABASE": database, **variables}
    async with (
        server(
            [sys.executable, "-m", "memrouter", "serve", "--config", str(file)],
            ready_url=f"{url}/ready",
            log=log,
            env={**os.environ, **{name: str(value) for name, value in names.items()}},
        ) as process,
        caller_sessions(url) as (http, openai),
    ):
        router = Router(url, process, log, database, http, openai)
        yield router
        if discreet and process.returncode is None:
            assert CANARY not in (await router.get("/metrics")).body.decode().lower()
    assert not discreet or CANARY not in log.read_text().lower()


@contextlib.asynccontextmanager
async def caller_sessions(url: str) -> AsyncIterator[tuple[aiohttp.ClientSession, AsyncOpenAI]]:
    """Give what callers of a router talk through: a plain HTTP client, and the official one without retries."""
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as http,
        AsyncOpenAI(base_url=f"{url}/v1", api_key="test", max_retries=0, timeout=60) as openai,
    ):
        yield http, openai


def kept_contents(database: Path) -> list[str]:
    """Return the contents in a database file, whoever owns them; no router needs to run."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return [content for (content,) in connection.execute("SELECT content FROM memories")]
