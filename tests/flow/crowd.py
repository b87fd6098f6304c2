"""People who never stop to write while their memories move, and what a router says of the move."""

import asyncio
import json
import random

import aiohttp

from .servers import Caller, JsonObject, Router
from .valkey_cases import asks, every_content


class Person:
    """Somebody who never stops to write, and looks after each write whether it is there."""

    def __init__(self, user: str, rng: random.Random) -> None:
        self.user = user
        self._rng = rng
        self._number = 0
        self._known: dict[str, str] = {}
        self.uncertain: set[str] = set()
        self.steps = 0

    @property
    def known(self) -> set[str]:
        return set(self._known.values())

    async def remember(self, caller: Caller, count: int) -> None:
        contents = [self._text() for _ in range(count)]
        self.uncertain = set(contents)
        body = json.dumps({"memories": [{"content": content} for content in contents]}).encode()
        answer = await caller.request("POST", "/v1/memory", body)
        assert answer.status == 201, answer.body
        self._known |= {memory["id"]: memory["content"] for memory in answer.json()["memories"]}
        self.uncertain = set()

    async def live(self, router: Router, until: asyncio.Event) -> None:
        caller = router.caller(self.user)
        while not until.is_set():
            await self._rng.choice((self.remember_one, self._edit, self._forget))(caller)
            assert set(await every_content(caller)) == self.known
            assert await asks(caller) in ("used", "missing")
            self.steps += 1

    async def remember_one(self, caller: Caller) -> None:
        await self.remember(caller, 1)

    async def _edit(self, caller: Caller) -> None:
        memory_id, text = self._rng.choice(list(self._known)), self._text()
        self.uncertain = {self._known[memory_id], text}
        answer = await caller.request("PATCH", f"/v1/memory/{memory_id}", json.dumps({"content": text}).encode())
        assert answer.status == 200, answer.body
        self._known[memory_id] = text
        self.uncertain = set()

    async def _forget(self, caller: Caller) -> None:
        memory_id = self._rng.choice(list(self._known))
        self.uncertain = {self._known[memory_id]}
        answer = await caller.request("DELETE", f"/v1/memory/{memory_id}")
        assert answer.status in (200, 204), answer.body
        del self._known[memory_id]
        self.uncertain = set()

    def _text(self) -> str:
        self._number += 1
        return f"My canary number {self._number} sings in {self._rng.choice(('Porto', 'Lisbon', 'Faro'))}."


class Crowd:
    """People who live while the body runs; keeps the phases that /ready showed."""

    def __init__(self, router: Router, people: list[Person]) -> None:
        self._router = router
        self._people = people
        self._enough = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.phases: list[str] = []

    async def __aenter__(self) -> "Crowd":
        self._tasks = [asyncio.create_task(person.live(self._router, self._enough)) for person in self._people]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._enough.set()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, aiohttp.ClientError):
                raise result

    async def until(self, phase: str, *, copied: int = 0) -> JsonObject:
        """Wait until /ready shows a phase; nobody may have failed meanwhile."""
        async with asyncio.timeout(60):
            while True:
                assert not any(task.done() for task in self._tasks), "a request failed"
                found = await migration(self._router)
                if found["phase"] not in self.phases:
                    self.phases.append(found["phase"])
                if found["phase"] == phase and found["copied"] >= copied:
                    return found
                await asyncio.sleep(0.02)


async def migration(router: Router) -> JsonObject:
    answer = await router.get("/ready")
    assert answer.status == 200
    found: JsonObject = answer.json()["migration"]
    return found


async def everything(router: Router, people: list[Person]) -> list[list[str]]:
    return [sorted(await every_content(router.caller(person.user))) for person in people]
