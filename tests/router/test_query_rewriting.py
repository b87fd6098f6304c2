"""Rewriting and re-ranking in the way of a chat request: a real router, with scripted servers behind it."""

import logging
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from memrouter.api.app import create_app
from memrouter.config.load import load_settings
from memrouter.runtime import Runtime
from memrouter.testing.clock import ManualClock
from memrouter.testing.upstream import Answer, Received, ScriptedUpstream

USER = {"x-authz-user-id": "alice"}
BIRD = "My canary Figaro comes from the market hall in Porto."
BIKE = "I bought my bicycle in Ghent."
SAID = [
    {"role": "user", "content": "I like songbirds."},
    {"role": "assistant", "content": "Lovely."},
    {"role": "user", "content": "What about the second one of them?"},
]


@dataclass
class Router:
    """A router in this process."""

    client: httpx.AsyncClient
    runtime: Runtime
    models: ScriptedUpstream

    async def remember(self, *contents: str) -> None:
        memories = {"memories": [{"content": content} for content in contents]}
        assert (await self.client.post("/v1/memory", json=memories)).status_code == 201

    async def chat(self, *messages: dict[str, str], **headers: str) -> httpx.Response:
        """Ask, and return the answer."""
        body = {"model": "auto", "messages": list(messages) or SAID}
        answer = await self.client.post("/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200
        return answer

    def sent_to(self, model: str) -> list[dict[str, Any]]:
        """Return the requests for a model."""
        return [request.json() for request in self.models.requests if request.json().get("model") == model]

    def injected(self) -> str:
        """Return what the last chat request had besides the conversation."""
        return " ".join(
            message["content"] for message in self.sent_to("large")[-1]["messages"] if "<" in message["content"]
        )

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.runtime.metrics.render().decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0


def reply(request: Received) -> Answer:
    """Answer as a model that rewrites, as a reranker, or as a chat model."""
    body = request.json()
    if request.target == "/v1/rerank":
        scores = [{"index": n, "relevance_score": "bicycle" in text} for n, text in enumerate(body["documents"])]
        return Answer.json(
            {"results": [{**each, "relevance_score": float(each["relevance_score"])} for each in scores]}
        )
    if body["model"] == "small":
        return Answer.completion("Search text: Where does my canary Figaro come from, the market hall?")
    return Answer.completion("I do not know.")


@asynccontextmanager
async def running(folder: Path, *, role: str = "memory_rewrite", **memory: Any) -> AsyncIterator[Router]:
    async with ScriptedUpstream(reply) as models:
        backend = [{"base_url": models.url}]
        if "reranker" in memory:
            memory["reranker"] = {"kind": "endpoint", "model": "bge", **memory["reranker"], "base_url": models.url}
        small = {"name": "small", "role": role, "backend_refs": backend}
        settings = load_settings(
            None,
            env={},
            overrides={
                "providers": {"models": [small, {"name": "large", "backend_refs": backend}]},
                "global": {"stores": {"memory": {"sqlite": {"path": str(folder / "m.db")}, **memory}}},
            },
        ).settings
        runtime = await Runtime.open(settings, env={}, clock=ManualClock(), rng=random.Random(1))
        transport = httpx.ASGITransport(app=create_app(runtime, settings.listeners[0]), client=("127.0.0.1", 5000))
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://router", headers=USER) as client:
                yield Router(client, runtime, models)
        finally:
            await runtime.aclose()


async def test_a_message_that_leans_on_its_conversation_finds_by_what_it_means(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as router:
        await router.remember(BIRD, BIKE)
        with caplog.at_level(logging.DEBUG, "memrouter"):
            answer = await router.chat()
        assert answer.headers["x-memory-status"] == "used"
        assert "Figaro" in router.injected()
        (asked,) = router.sent_to("small")
        assert "songbirds" in asked["messages"][1]["content"]
        assert router.sent_to("large")[0]["messages"][-1] == SAID[-1]
        assert router.metric('memrouter_query_rewrites_total{outcome="rewritten"}') == 1
        assert router.metric('memrouter_query_rewrite_tokens_total{kind="prompt"}') == 1
        assert not any("Figaro" in message or "market hall" in message for message in caplog.messages)
        assert "alice" not in router.runtime.metrics.render().decode()


async def test_without_rewriting_the_same_message_finds_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, query_rewrite={"enabled": False}) as router:
        await router.remember(BIRD, BIKE)
        assert (await router.chat()).headers["x-memory-status"] == "missing"
        assert router.sent_to("small") == []


async def test_the_model_can_be_named_instead_of_having_the_role(tmp_path: Path) -> None:
    async with running(tmp_path, role="", query_rewrite={"model": "small"}) as router:
        await router.remember(BIRD)
        await router.chat(model="large")
        assert len(router.sent_to("small")) >= 1
        assert router.metric('memrouter_query_rewrites_total{outcome="rewritten"}') == 1


async def test_without_role_or_name_nothing_is_rewritten(tmp_path: Path) -> None:
    async with running(tmp_path, role="") as router:
        await router.remember(BIRD)
        body = {"model": "large", "messages": SAID}
        assert (await router.client.post("/v1/chat/completions", json=body)).status_code == 200
        assert router.sent_to("small") == []


@pytest.mark.parametrize(
    ("messages", "headers", "status"),
    [
        ([*SAID[:2], {"role": "user", "content": "Thanks!"}], {}, "ignored"),
        (SAID, {"x-disable-router-memory": "true"}, "policy_blocked"),
        (SAID, {"x-authz-user-id": ""}, "missing"),
    ],
)
async def test_where_memory_does_not_search_nothing_is_rewritten(
    tmp_path: Path, messages: list[dict[str, str]], headers: dict[str, str], status: str
) -> None:
    async with running(tmp_path) as router:
        answer = await router.chat(*messages, **headers)
        assert answer.headers["x-memory-status"] == status
        assert router.sent_to("small") == []


async def test_a_rewriter_that_fails_costs_the_rewriting_only(tmp_path: Path) -> None:
    async with running(tmp_path) as router:
        await router.remember(BIRD)
        router.models.script(Answer.error(503))
        said = {"role": "user", "content": "Where does my canary Figaro come from, the market hall?"}
        assert (await router.chat(*SAID[:2], said)).headers["x-memory-status"] == "used"
        assert router.metric('memrouter_query_rewrites_total{outcome="failed"}') == 1


async def test_the_model_with_the_role_is_neither_the_default_nor_listed(tmp_path: Path) -> None:
    async with running(tmp_path) as router:
        await router.chat(SAID[0])
        assert len(router.sent_to("large")) == 1
        listed = (await router.client.get("/v1/models")).json()["data"]
        assert {model["id"] for model in listed} == {"auto", "MoM", "large"}


EVERYTHING: dict[str, Any] = {"default_similarity_threshold": 0.4, "adaptive_threshold": False}
ABOUT_BOTH = {"role": "user", "content": "Where did I buy my canary Figaro and my bicycle? Porto market hall or Ghent?"}


async def test_the_reranker_has_the_last_word_on_the_order_in_chat_and_search(tmp_path: Path) -> None:
    async with running(tmp_path, reranker={}, **EVERYTHING) as router:
        await router.remember(BIRD, BIKE)
        await router.chat(ABOUT_BOTH)
        assert router.injected().index("bicycle") < router.injected().index("canary")
        search = {"query": ABOUT_BOTH["content"], "limit": 1, "explain": True}
        found = (await router.client.post("/v1/memory/search", json=search)).json()
        assert [memory["content"] for memory in found["memories"]] == [BIKE]
        assert [each["dropped"] for each in found["candidates"]] == [None, "limit"]
        assert {"reranker", "fused"} <= {signal["name"] for signal in found["candidates"][0]["signals"]}
        assert router.metric('memrouter_reranks_total{outcome="ok"}') == 2


async def test_a_reranker_that_fails_leaves_the_fused_order(tmp_path: Path) -> None:
    async with running(tmp_path, reranker={}, **EVERYTHING) as router:
        await router.remember(BIRD, BIKE)
        router.models.script(Answer.error(500))
        assert (await router.chat(ABOUT_BOTH)).headers["x-memory-count"] == "2"
        assert router.metric('memrouter_reranks_total{outcome="failed"}') == 1


async def test_what_the_filter_leaves_out_is_counted_by_reason(tmp_path: Path) -> None:
    async with running(tmp_path, reflection={"block_patterns": ["Ghent"]}, **EVERYTHING) as router:
        await router.remember(BIRD, BIKE)
        assert (await router.chat(ABOUT_BOTH)).headers["x-memory-count"] == "1"
        assert router.metric('memrouter_memories_dropped_total{reason="blocked"}') == 1


async def test_a_near_miss_is_told_in_the_debug_log_without_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, default_similarity_threshold=1.0) as router:
        await router.remember(BIRD)
        memory = (await router.client.get("/v1/memory")).json()["memories"][0]["id"]
        with caplog.at_level(logging.DEBUG, "memrouter"):
            unrelated = {"role": "user", "content": "Which prime numbers are even?"}
            assert (await router.chat(unrelated)).headers["x-memory-status"] == "missing"
        (told,) = [message for message in caplog.messages if "threshold" in message]
        assert memory in told
        assert "of 1.000 and fell short by" in told
        assert "Figaro" not in told
