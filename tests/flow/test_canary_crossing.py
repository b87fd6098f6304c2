"""Twenty users come in by every way at once, and nothing that one of them sees or sends on holds a word of another."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from memrouter.config.memory import MilvusSettings
from memrouter.testing.echo import echo_all
from memrouter.testing.milvus import drop, elsewhere
from memrouter.testing.upstream import ScriptedUpstream
from memrouter.testing.valkey import ValkeyServer

from .conftest import new_user
from .servers import JsonObject, Response, Router, router_config, running_router

USERS = 20
CONCURRENCY = 50
QUESTION = "Which word must I never forget?"


@dataclass(slots=True)
class Person:
    """Somebody with a word that nobody else may see, and what all the others must not see of him."""

    router: Router
    user: str = field(default_factory=new_user)
    word: str = field(default_factory=lambda: f"Kanari{uuid.uuid4().hex[:12]}")
    memory_id: str = ""
    response_id: str = ""
    seen: list[Response] = field(default_factory=list)

    @property
    def own(self) -> set[str]:
        return {self.user, self.word}

    async def send(self, method: str, path: str, body: JsonObject | None = None, **headers: str) -> Response:
        """Send something, and keep the answer for the judgement at the end."""
        caller = self.router.caller(self.user, **headers)
        answer = await caller.request(method, path, None if body is None else json.dumps(body).encode())
        self.seen.append(answer)
        return answer

    async def tool(self, name: str, **arguments: Any) -> JsonObject:
        """Call a tool over MCP."""
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        answer = await self.send("POST", "/mcp", call, accept="application/json, text/event-stream")
        assert answer.status == 200, answer.body
        result: JsonObject = answer.json()["result"]
        return result

    async def settle_in(self) -> None:
        """Leave the word behind: in a memory, and in a response that is kept."""
        made = await self.send("POST", "/v1/memory", {"content": f"The word that I must never forget is {self.word}."})
        assert made.status == 201, made.body
        self.memory_id = made.json()["memories"][0]["id"]
        told = {"model": "scripted", "input": f"My word is {self.word}.", "auto_store": False}
        kept = await self.send("POST", "/v1/responses", told)
        assert kept.status == 200, kept.body
        self.response_id = kept.json()["id"]

    async def finds_the_word(self, path: str, body: JsonObject) -> None:
        """Ask without leaving anything to remember, which might be found in the word's place."""
        answer = await self.send("POST", path, body, x_authz_user_groups="read_only")
        assert answer.status == 200, answer.body
        assert self.word in answer.body.decode() or answer.memory == "unavailable", path

    async def meddles(self, other: "Person") -> None:
        """Ask for what is another's, by its right name."""
        asked = {"model": "scripted", "input": "And what was my word?", "previous_response_id": other.response_id}
        tries: list[tuple[str, str, JsonObject | None]] = [
            ("GET", f"/v1/memory/{other.memory_id}", None),
            ("GET", f"/v1/memory/{other.memory_id}/history", None),
            ("PATCH", f"/v1/memory/{other.memory_id}", {"importance": 1}),
            ("DELETE", f"/v1/memory/{other.memory_id}", None),
            ("GET", f"/v1/responses/{other.response_id}", None),
            ("GET", f"/v1/responses/{other.response_id}/input_items", None),
            ("DELETE", f"/v1/responses/{other.response_id}", None),
            ("POST", "/v1/responses", asked),
        ]
        for method, path, body in tries:
            assert (await self.send(method, path, body)).status == 404, (method, path.split("/")[2])
        for name in ("history", "forget"):
            assert (await self.tool(name, id=other.memory_id)).get("isError")


def actions(person: Person, other: Person) -> list[Any]:
    """Return one coroutine for each way in."""
    messages = [{"role": "user", "content": QUESTION}]
    # A body proves nothing: who speaks in another's name is still recalled his own word.
    claim = {"user": other.user, "metadata": {"user_id": other.user}}
    told = [{"role": "user", "content": f"It rains, and I hum {person.word} in the garden."}]
    spoken = {"model": "scripted", "messages": messages}
    return [
        person.finds_the_word("/v1/chat/completions", {**spoken, **claim}),
        person.finds_the_word("/v1/chat/completions", {**spoken, "stream": True}),
        person.finds_the_word("/v1/messages", {**spoken, "max_tokens": 100}),
        person.finds_the_word("/v1/messages", {**spoken, "max_tokens": 100, "stream": True}),
        person.finds_the_word("/v1/responses", {"model": "scripted", "input": QUESTION}),
        person.finds_the_word("/v1/responses", {"model": "scripted", "input": QUESTION, "stream": True}),
        person.finds_the_word(
            "/v1/responses",
            {"model": "scripted", "input": "And what was my word?", "previous_response_id": person.response_id},
        ),
        person.finds_the_word("/v1/memory/search", {"query": QUESTION, "explain": True}),
        person.send("GET", "/v1/memory?limit=100"),
        person.send("GET", f"/v1/memory/{person.memory_id}"),
        person.send("GET", f"/v1/memory/{person.memory_id}/history"),
        person.send("GET", "/v1/memory/export"),
        person.send("GET", "/v1/memory/stats"),
        person.send("GET", f"/v1/responses/{person.response_id}"),
        person.tool("recall", query=QUESTION),
        person.tool("list"),
        person.meddles(other),
        person.send("POST", "/v1/chat/completions", {**spoken, "model": "nobody"}),
        person.send("POST", "/v1/memory", {"content": "x", "nobody_knows": "this"}),
        person.send("POST", "/v1/chat/completions", {**spoken, "messages": told}),
    ]


async def mingle(people: Sequence[Person], model: ScriptedUpstream) -> None:
    """Let everybody do everything at once, and judge what was seen and sent on."""
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(work: Any) -> None:
        async with gate:
            await work

    await asyncio.gather(*(one(person.settle_in()) for person in people))
    pairs = list(zip(people, [*people[1:], people[0]], strict=True))
    every = [actions(person, other) for person, other in pairs]
    await asyncio.gather(*(one(work) for works in zip(*every, strict=True) for work in works))
    marks = {mark for person in people for mark in person.own}
    for person in people:
        strange = marks - person.own
        for answer in person.seen:
            held = f"{dict(answer.headers)}{answer.body.decode()}"
            assert not any(mark in held for mark in strange)
        assert any(answer.memory == "used" for answer in person.seen)
    for request in model.requests:
        held = f"{request.headers}{request.body.decode()}"
        assert len({person.word for person in people if person.word in held}) <= 1
        assert not any(f"x-authz-user-id', b'{person.user}" in held for person in people)


@contextlib.asynccontextmanager
async def store_of(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[JsonObject]:
    """Give the settings of a store that nobody else uses."""
    if kind == "valkey":
        async with ValkeyServer() as server:
            yield {"backend": "valkey", "valkey": {"host": "127.0.0.1", "port": server.port}}
    elif kind == "milvus":
        settings: MilvusSettings = elsewhere(request.getfixturevalue("milvus_server"))
        yield {"backend": "milvus", "milvus": {"address": settings.address, "collection": settings.collection}}
        await drop(settings)
    else:
        yield {}


@contextlib.asynccontextmanager
async def cache_of(cached: bool) -> AsyncIterator[JsonObject]:
    """Give the setting of a hot cache; with one, nothing is answered from the router's own memory."""
    if not cached:
        yield {}
        return
    async with ValkeyServer(search=False) as server:
        cache = {"enabled": True, "address": f"127.0.0.1:{server.port}"}
        yield {"redis_cache": cache, "limits": {"working_set_bytes": 0}}


@pytest.mark.parametrize(
    ("kind", "cached", "users"),
    [
        ("sqlite", False, USERS),
        ("sqlite", True, 5),
        ("valkey", False, 5),
        ("valkey", True, USERS),
        ("milvus", True, 3),
    ],
)
async def test_no_canary_crosses(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, cached: bool, users: int
) -> None:
    async with (
        ScriptedUpstream(echo_all) as model,
        store_of(kind, request) as store,
        cache_of(cached) as cache,
    ):
        config = router_config({"scripted": [model.endpoint]}, memory={**store, **cache})
        config["global"]["mcp"] = {"enabled": True}
        async with running_router(tmp_path, config) as router:
            people = [Person(router) for _ in range(users)]
            await mingle(people, model)
            told = router.log.read_text() + (await router.get("/metrics")).body.decode()
        told += router.log.read_text()
    assert not any(mark in told for person in people for mark in person.own)
