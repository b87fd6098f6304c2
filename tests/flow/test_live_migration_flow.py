"""Memories move from SQLite to Valkey while people chat, remember, edit and forget."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from memrouter.testing.upstream import ScriptedUpstream
from memrouter.testing.valkey import ValkeyServer

from .conftest import new_user
from .crowd import Crowd, Person, everything, migration
from .servers import JsonObject, router_config, running_router
from .valkey_cases import asks, durable, every_content, store_status, try_to_remember

PEOPLE = 3
EACH = 25


@pytest_asyncio.fixture(loop_scope="session")
async def model() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def valkey() -> AsyncIterator[ValkeyServer]:
    async with ValkeyServer() as running:
        yield running


def block(valkey: ValkeyServer) -> JsonObject:
    return {"backend": "valkey", "valkey": {"host": "127.0.0.1", "port": valkey.port, "timeout": 2}}


def on_sqlite(model: ScriptedUpstream, **memory: Any) -> JsonObject:
    patient = {"timeout_ms": 30_000}  # what is asked is whether a request goes without memory, not how quick one is
    return router_config({"scripted": [model.endpoint]}, memory=patient | memory)


def moving(model: ScriptedUpstream, valkey: ValkeyServer, **migration: Any) -> JsonObject:
    return on_sqlite(model, migration={"to": block(valkey), **migration})


async def test_memories_move_under_load_through_a_kill_and_back(
    tmp_path: Path, model: ScriptedUpstream, valkey: ValkeyServer
) -> None:
    people = [Person(new_user(), random.Random(number)) for number in range(PEOPLE)]
    async with running_router(tmp_path, on_sqlite(model)) as router:
        for person in people:
            await person.remember(router.caller(person.user), EACH)
        assert "migration" not in (await router.get("/ready")).json()

    async with running_router(tmp_path, moving(model, valkey, rate=EACH)) as router, Crowd(router, people) as crowd:
        found = await crowd.until("copying", copied=EACH)
        assert found["total"] >= found["copied"]
        assert await router.metric("memrouter_migration_phase") == 2
        router.process.kill()
        await router.process.wait()

    async with running_router(tmp_path, moving(model, valkey, rate=200)) as router:
        for person in people:
            caller = router.caller(person.user)
            found_now = set(await every_content(caller))
            assert person.known - person.uncertain <= found_now <= person.known | person.uncertain
            listed = (await caller.request("GET", "/v1/memory?limit=100")).json()["memories"]
            person._known = {memory["id"]: memory["content"] for memory in listed}
            assert person.known == found_now, "the test looks at one page"
        async with Crowd(router, people) as crowd:
            await crowd.until("switched")
            steps = [person.steps for person in people]
            while any(person.steps < before + 5 for person, before in zip(people, steps, strict=True)):
                await crowd.until("switched")
        assert crowd.phases[-2:] == ["verifying", "switched"]
        assert await router.metric("memrouter_migration_phase") == 4
        ready = (await router.get("/ready")).json()
        assert ready["checks"]["memory_migration"] == {"status": "ok", "detail": ""}
        async with asyncio.timeout(20):
            while (await migration(router))["dirty"]:
                await asyncio.sleep(0.05)
        final = await everything(router, people)
        assert final == [sorted(person.known) for person in people]
        assert str(valkey.port) not in json.dumps(ready)

    async with running_router(tmp_path, on_sqlite(model)) as router:
        assert await everything(router, people) == final, "going back is one line"
    async with running_router(tmp_path, on_sqlite(model, **block(valkey))) as router:
        assert await everything(router, people) == final, "and so is going on"


async def test_a_dead_new_store_never_hurts(tmp_path: Path, model: ScriptedUpstream, valkey: ValkeyServer) -> None:
    people = [Person(new_user(), random.Random(number)) for number in range(PEOPLE)]
    async with running_router(tmp_path, moving(model, valkey)) as router:
        for person in people:
            await person.remember(router.caller(person.user), 10)
        async with Crowd(router, people) as crowd:
            await crowd.until("switched")
            await valkey.kill()
            found = await crowd.until("verifying")
            assert "failed" in found["last_error"] or "reached" in found["last_error"]
            steps = [person.steps for person in people]
            while any(person.steps < before + 3 for person, before in zip(people, steps, strict=True)):
                await crowd.until("verifying")
            await valkey.start()  # empty: it keeps nothing on the disk
            await crowd.until("switched")
        assert await everything(router, people) == [sorted(person.known) for person in people]
        async with asyncio.timeout(20):
            while (await migration(router))["dirty"]:
                await asyncio.sleep(0.05)
    async with running_router(tmp_path, on_sqlite(model, **block(valkey))) as router:
        assert await everything(router, people) == [sorted(person.known) for person in people]


async def test_memories_are_there_while_the_old_store_is_down(tmp_path: Path, model: ScriptedUpstream) -> None:
    async with durable(tmp_path / "valkey") as valkey:
        to = {"backend": "sqlite", "sqlite": {"path": "${DATABASE}"}}
        memory = {**block(valkey), "migration": {"to": to}}
        config = router_config({"scripted": [model.endpoint]}, memory=memory)
        del config["global"]["stores"]["memory"]["sqlite"]
        async with running_router(tmp_path, config) as router:
            alice = router.caller(new_user())
            await alice.remember("My canary is called Figaro.")
            await Crowd(router, []).until("switched")
            assert await asks(alice, "How is my canary called?") == "used"
            await valkey.kill()
            for _ in range(3):
                assert await asks(alice, "How is my canary called?") == "used"
            assert await every_content(alice) == ["My canary is called Figaro."]
            assert not await try_to_remember(alice, "My canary sings.")
            said = await alice.chat("My canary was born in Porto last spring, as I told my sister.")
            assert said.status == 200
            assert said.memory in ("used", "missing")
            assert (await store_status(router))["status"] == "degraded"
            await valkey.start()
            assert any("Porto" in memory["content"] for memory in await alice.stored(2)), "what was said is kept"
            await Crowd(router, []).until("switched")
