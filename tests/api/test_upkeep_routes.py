"""``/v1/memory/consolidate``: the caller's own memories, and nobody else's."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from random import Random

import httpx
import pytest
from fastapi import FastAPI

from memrouter.api.caller import Access
from memrouter.api.upkeep import upkeep_routes
from memrouter.config.memory import MemorySettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.ids import IdFactory
from memrouter.memory.upkeep.upkeep import Upkeep, unchanged_by
from memrouter.observability.metrics import Metrics
from memrouter.stores.base import MemoryStore
from memrouter.testing.clock import ManualClock

URL = "/v1/memory/consolidate"
ALICE = {"x-authz-user-id": "alice"}
BOB = {"x-authz-user-id": "bob"}
OTHER_PROJECT = ALICE | {"x-authz-project-id": "other"}
REX = ("I have a small dog called Rex", "I have a small brown dog called Rex")

Connect = Callable[[FastAPI], AbstractAsyncContextManager[httpx.AsyncClient]]
Build = Callable[[MemoryService | None], FastAPI]


@pytest.fixture
def upkeep(store: MemoryStore, clock: ManualClock, service: MemoryService, metrics: Metrics) -> Upkeep:
    return Upkeep.of(
        MemorySettings(),
        store=store,
        embedder=HashEmbedder(64),
        edits=service.gate.edits,
        analyzer=Analyzer(),
        accepts=unchanged_by(service.gate.admission.screen),
        writer=None,
        clock=clock,
        ids=IdFactory(clock, Random(1)),
        observer=metrics,
    )


@pytest.fixture
def app(bare_app: FastAPI, build: Build, service: MemoryService, upkeep: Upkeep, access: Access) -> FastAPI:
    bare_app.include_router(upkeep_routes(upkeep=upkeep, access=access, most=10, max_body_bytes=100))
    return build(service)


async def fill(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    for content in REX:
        reply = await client.post("/v1/memory", headers=headers, json={"content": content})
        assert reply.status_code == 201


async def contents(client: httpx.AsyncClient, headers: dict[str, str]) -> list[str]:
    page = (await client.get("/v1/memory", headers=headers)).json()
    return [memory["content"] for memory in page["memories"]]


async def test_a_user_consolidates_what_is_theirs_in_this_project_alone(client: httpx.AsyncClient) -> None:
    for headers in (ALICE, OTHER_PROJECT, BOB):
        await fill(client, headers)
    reply = await client.post(URL, headers=ALICE)
    assert reply.status_code == 200
    (merged,) = reply.json()["merged"]
    assert merged["rule"] == "merged"
    assert len(merged["sources"]) == 2
    assert await contents(client, ALICE) == ["\n".join(REX)]
    assert len(await contents(client, OTHER_PROJECT)) == 2
    assert len(await contents(client, BOB)) == 2
    memory = (await client.get(f"/v1/memory/{merged['id']}", headers=ALICE)).json()
    assert memory["source"] == "consolidation"
    again = (await client.post(URL, headers=ALICE, json={})).json()
    assert (again["merged"], again["fewer"], again["finished"]) == ([], 0, True)


async def test_a_dry_run_changes_nothing(client: httpx.AsyncClient) -> None:
    await fill(client, ALICE)
    told = (await client.post(URL, headers=ALICE, json={"dry_run": True})).json()
    assert (told["dry_run"], told["fewer"], told["merged"][0]["id"]) == (True, 1, None)
    assert len(await contents(client, ALICE)) == 2


@pytest.mark.parametrize("body", ['{"user_id": "bob"}', '{"dry_run": "yes"}', "[]", "{"])
async def test_a_body_that_is_no_such_form_is_refused(client: httpx.AsyncClient, body: str) -> None:
    assert (await client.post(URL, headers=ALICE, content=body)).status_code == 400


async def test_nobody_has_nothing_to_consolidate(client: httpx.AsyncClient) -> None:
    assert (await client.post(URL)).status_code == 401


async def test_without_memory_there_is_nothing_to_consolidate(
    bare_app: FastAPI, access: Access, connect: Connect
) -> None:
    bare_app.include_router(upkeep_routes(upkeep=None, access=access, most=10, max_body_bytes=100))
    async with connect(bare_app) as client:
        assert (await client.post(URL, headers=ALICE)).status_code == 404
