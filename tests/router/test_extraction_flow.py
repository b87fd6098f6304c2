"""Facts drawn from chats, in the way of a router: a real one, with scripted models behind it."""

import json
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from memrouter.api.app import create_app
from memrouter.config.load import load_settings
from memrouter.runtime import Runtime
from memrouter.testing.clock import ManualClock
from memrouter.testing.extraction_model import fact, facts_answer, shown_facts, shown_turns
from memrouter.testing.upstream import Answer, Received, ScriptedUpstream

USER = {"x-authz-user-id": "alice"}
SAID = "I moved to Porto last month, and my canary Figaro came along."
FACTS = [
    fact("The user moved to Porto in 2026-10.", importance=0.9),
    fact("The user's canary is called Figaro."),
    fact("The user works for Contoso.", turns=(5,)),
]


@dataclass
class Models:
    """What the models behind the router answer."""

    facts: Callable[[Received], Answer] = lambda request: facts_answer(*FACTS)
    seen: list[Received] = field(default_factory=list)

    def __call__(self, request: Received) -> Answer:
        if request.json()["model"] != "small":
            return Answer.completion("Noted, that must have been quite a journey for the two of you.")
        self.seen.append(request)
        return self.facts(request)


@dataclass
class Router:
    """A router in this process."""

    client: httpx.AsyncClient
    runtime: Runtime
    models: Models

    async def chat(self, text: str, *, session: str = "s1") -> httpx.Response:
        body = {"model": "large", "messages": [{"role": "user", "content": text}]}
        answer = await self.client.post("/v1/chat/completions", json=body, headers={"x-session-id": session})
        assert answer.status_code == 200
        return answer

    async def memories(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.client.get("/v1/memory?limit=100")).json()["memories"]
        return found

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.runtime.metrics.render().decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0


@asynccontextmanager
async def running(folder: Path, models: Models, *, size: int = 1, **extraction: Any) -> AsyncIterator[Router]:
    """Run a router over the folder's store; leaving it drains what waits."""
    async with ScriptedUpstream(models) as server:
        backend = [{"base_url": server.url}]
        memory = {"sqlite": {"path": str(folder / "m.db")}, "extraction_batch_size": size, "extraction": extraction}
        settings = load_settings(
            None,
            env={},
            overrides={
                "providers": {
                    "models": [
                        {"name": "small", "role": "memory_extraction", "backend_refs": backend},
                        {"name": "large", "backend_refs": backend},
                    ]
                },
                "global": {"stores": {"memory": memory}},
            },
        ).settings
        clock = ManualClock(1_795_348_800_000)  # 2026-11-22
        runtime = await Runtime.open(settings, env={}, clock=clock, rng=random.Random(1))
        transport = httpx.ASGITransport(app=create_app(runtime, settings.listeners[0]), client=("127.0.0.1", 5000))
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://router", headers=USER) as client:
                yield Router(client, runtime, models)
        finally:
            await runtime.aclose()


async def test_a_fact_of_one_session_is_recalled_in_the_next(tmp_path: Path) -> None:
    models = Models()
    async with running(tmp_path, models) as router:
        await router.chat(SAID)
    assert [line["user"] for line in shown_turns(models.seen[0])] == [SAID.replace("month", "month (2026-10)")]
    models.facts = lambda request: facts_answer()
    async with running(tmp_path, models) as router:
        kept = {memory["content"]: memory for memory in await router.memories()}
        assert set(kept) == {FACTS[0]["fact"], FACTS[1]["fact"], *(text for text in kept if text.startswith("Q: "))}
        assert len(kept) == 3
        moved = kept["The user moved to Porto in 2026-10."]
        assert (moved["type"], moved["source"], moved["trust"]) == ("semantic", "extraction", "direct_user")
        answer = await router.chat("What is the name of my canary?", session="s2")
        assert answer.headers["x-memory-status"] == "used"
        assert router.runtime.metrics.render().decode().count("alice") == 0
    assert {line["fact"] for line in shown_facts(models.seen[1])} == {form["fact"] for form in FACTS[:2]}


async def test_its_cost_is_in_the_metrics(tmp_path: Path) -> None:
    async with running(tmp_path, Models()) as router:
        await router.chat(SAID)
    assert router.metric('memrouter_extractions_total{outcome="extracted"}') == 1
    assert router.metric("memrouter_extraction_calls_total") == 1
    assert router.metric('memrouter_extraction_tokens_total{kind="prompt"}') == 700
    assert router.metric('memrouter_extraction_tokens_total{kind="completion"}') == 60
    assert router.metric('memrouter_facts_total{outcome="stored"}') == 2
    assert router.metric('memrouter_facts_total{outcome="unsupported"}') == 1
    assert router.metric("memrouter_extraction_turns_waiting") == 0


async def test_turns_wait_for_each_other_and_are_drawn_from_at_the_latest_when_the_router_stops(tmp_path: Path) -> None:
    models = Models()
    async with running(tmp_path, models, size=10, max_wait=3600) as router:
        for number in range(3):
            await router.chat(f"{SAID} This is turn number {number}.", session=f"s{number % 2}")
    assert sorted(len(shown_turns(request)) for request in models.seen) == [1, 2]


@pytest.mark.parametrize("answer", [Answer.error(500), Answer.json({"choices": []})])
async def test_without_the_model_the_turns_are_remembered_all_the_same(tmp_path: Path, answer: Answer) -> None:
    async with running(tmp_path, Models(lambda request: answer)) as router:
        await router.chat(SAID)
    async with running(tmp_path, Models(), enabled=False) as router:
        (kept,) = await router.memories()
        assert kept["content"].startswith("Q: I moved to Porto")


async def test_a_model_for_facts_is_not_offered_to_clients(tmp_path: Path) -> None:
    async with running(tmp_path, Models()) as router:
        listed = (await router.client.get("/v1/models")).json()
        assert "small" not in json.dumps(listed)
