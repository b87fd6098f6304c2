"""Memories move from SQLite to Milvus and on to another file while people remember, edit and forget."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from memrouter.config.memory import MilvusSettings
from memrouter.testing.milvus import drop, elsewhere
from memrouter.testing.upstream import ScriptedUpstream

from .conftest import new_user
from .crowd import Crowd, Person, everything, migration
from .servers import JsonObject, Router, router_config, running_router

PEOPLE = 2
EACH = 20


@pytest_asyncio.fixture(loop_scope="session")
async def model() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def milvus(milvus_server: MilvusSettings) -> AsyncIterator[JsonObject]:
    settings = elsewhere(milvus_server)
    secrets = {name: getattr(settings, name).get_secret_value() for name in ("password", "token")}
    block = settings.model_dump(exclude=set(secrets), exclude_none=True)
    yield {"backend": "milvus", "milvus": block | secrets}
    await drop(settings)


def on(model: ScriptedUpstream, **memory: Any) -> JsonObject:
    patient = {"timeout_ms": 30_000}  # what is asked is whether a request goes without memory, not how quick one is
    return router_config({"scripted": [model.endpoint]}, memory=patient | memory)


async def settled(router: Router) -> None:
    """Wait until nothing is left to compare."""
    async with asyncio.timeout(60):
        while (await migration(router))["dirty"]:
            await asyncio.sleep(0.05)


async def moved(folder: Path, config: JsonObject, people: list[Person]) -> None:
    """Move everything while people go on writing."""
    async with running_router(folder, config) as router:
        async with Crowd(router, people) as crowd:
            await crowd.until("switched")
            before = [person.steps for person in people]
            while any(person.steps < steps + 3 for person, steps in zip(people, before, strict=True)):
                await crowd.until("switched")
        assert await router.metric("memrouter_migration_phase") == 4
        await settled(router)
        assert await everything(router, people) == [sorted(person.known) for person in people]


async def test_memories_move_to_milvus_and_away_again_under_load(
    tmp_path: Path, model: ScriptedUpstream, milvus: JsonObject
) -> None:
    people = [Person(new_user(), random.Random(number)) for number in range(PEOPLE)]
    async with running_router(tmp_path, on(model)) as router:
        for person in people:
            await person.remember(router.caller(person.user), EACH)
    await moved(tmp_path, on(model, migration={"to": milvus}), people)
    async with running_router(tmp_path, on(model, **milvus)) as router:
        assert await everything(router, people) == [sorted(person.known) for person in people], "all is in Milvus"
    second = {"backend": "sqlite", "sqlite": {"path": str(tmp_path / "second.db")}}
    await moved(tmp_path, on(model, **milvus, migration={"to": second}), people)
    async with running_router(tmp_path, on(model, **second)) as router:
        assert await everything(router, people) == [sorted(person.known) for person in people], "all is in the file"
