"""Queries rewritten by a model behind a real HTTP server; whatever happens, there is a query."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator

import pytest

from memrouter.config.reranking import QueryRewriteSettings
from memrouter.config.settings import Settings
from memrouter.embeddings.tokens import TokenCounter
from memrouter.memory.helper_model import MAX_REPLY_BYTES
from memrouter.memory.retrieval.rewrite import PAUSE_SECONDS, QueryRewriter
from memrouter.memory.turns.conversation import PastTurn
from memrouter.models.turn import ModelChoice
from memrouter.testing.clock import ManualClock
from memrouter.testing.upstream import Answer, Fault, ScriptedUpstream
from memrouter.upstream.client import HttpUpstream

HISTORY = [PastTurn("I have a canary called Figaro.", "How nice!")]
QUERY = "Where did I buy him?"
REWRITTEN = "Where did I buy my canary Figaro?"


class Counted:
    """Notes what was counted."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.tokens: list[tuple[int, int]] = []

    def query_rewritten(self, *, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.outcomes.append(outcome)

    def rewrite_tokens(self, *, prompt: int, completion: int) -> None:
        self.tokens.append((prompt, completion))


@pytest.fixture(scope="module")
def tokens() -> TokenCounter:
    return TokenCounter.load()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(Answer.completion(REWRITTEN)) as running:
        yield running


@pytest.fixture
async def upstream(server: ScriptedUpstream) -> AsyncIterator[HttpUpstream]:
    model = {"name": "small", "provider_model_id": "org/small", "backend_refs": [{"base_url": server.url}]}
    settings = Settings.model_validate({"providers": {"models": [model]}})
    client = HttpUpstream(settings, env={}, clock=ManualClock(), rng=random.Random(1))
    yield client
    await client.aclose()


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def rewriter(upstream: HttpUpstream, tokens: TokenCounter, counted: Counted, clock: ManualClock) -> QueryRewriter:
    return made(upstream, tokens, counted, clock)


def made(
    upstream: HttpUpstream, tokens: TokenCounter, counted: Counted, clock: ManualClock, *, timeout_ms: int = 30_000
) -> QueryRewriter:
    return QueryRewriter(
        upstream,
        model=ModelChoice("small", "org/small"),
        settings=QueryRewriteSettings(timeout_ms=timeout_ms, max_tokens=40, turns=2),
        tokens=tokens,
        observer=counted,
        clock=clock,
    )


async def test_what_the_model_writes_is_searched_for(
    server: ScriptedUpstream, rewriter: QueryRewriter, counted: Counted
) -> None:
    assert await rewriter.rewrite(HISTORY, QUERY) == REWRITTEN
    (request,) = server.requests
    sent = request.json()
    assert request.target == "/v1/chat/completions"
    assert request.header("authorization") is None
    assert (sent["model"], sent["max_tokens"], sent["stream"], sent["temperature"]) == ("org/small", 40, False, 0)
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert "Figaro" in sent["messages"][1]["content"]
    assert QUERY in sent["messages"][1]["content"]
    assert counted.outcomes == ["rewritten"]
    assert counted.tokens == [(1, 1)]


async def test_only_the_last_turns_are_shown(server: ScriptedUpstream, rewriter: QueryRewriter) -> None:
    await rewriter.rewrite([PastTurn(f"turn {number}", "ok") for number in range(5)], QUERY)
    shown = server.requests[0].json()["messages"][1]["content"]
    assert [f"turn {number}" in shown for number in range(5)] == [False, False, False, True, True]


async def test_half_a_character_in_a_message_does_not_stop_it(
    server: ScriptedUpstream, rewriter: QueryRewriter
) -> None:
    assert await rewriter.rewrite(HISTORY, "where \ud83d?") == REWRITTEN
    assert "where ??" in server.requests[0].json()["messages"][1]["content"]


async def test_without_a_conversation_nobody_is_asked(
    server: ScriptedUpstream, rewriter: QueryRewriter, counted: Counted
) -> None:
    assert await rewriter.rewrite([], QUERY) == QUERY
    assert server.requests == []
    assert counted.outcomes == ["skipped"]


async def test_a_query_that_stands_on_its_own_may_stay(
    server: ScriptedUpstream, rewriter: QueryRewriter, counted: Counted
) -> None:
    server.script(Answer.completion(f"\n{QUERY}"))
    assert await rewriter.rewrite(HISTORY, QUERY) == QUERY
    assert counted.outcomes == ["unchanged"]


@pytest.mark.parametrize(
    "answer",
    [
        Answer.completion(""),
        Answer.completion("<think>hm"),
        Answer.completion("word " * 500),
        Answer.json({"choices": []}),
        Answer.json({"choices": [{"message": {"content": None, "tool_calls": []}}]}),
        Answer.json({"error": {"message": "no"}, "choices": [{"message": {"content": "x"}}]}),
        Answer.json([1]),
        Answer(body=(b"<html>",)),
        Answer(body=(b"[" * 100_000,)),
        Answer(body=(b"\xff",)),
    ],
)
async def test_an_answer_that_is_no_search_text_leaves_the_query(
    server: ScriptedUpstream, rewriter: QueryRewriter, counted: Counted, answer: Answer
) -> None:
    server.script(answer)
    assert await rewriter.rewrite(HISTORY, QUERY) == QUERY
    assert counted.outcomes == ["unusable"]
    assert await rewriter.rewrite(HISTORY, QUERY) == REWRITTEN


@pytest.mark.parametrize(
    "answer",
    [
        Answer.error(500),
        Answer.error(429),
        Answer.fault(Fault.DISCONNECT),
        Answer.fault(Fault.RESET),
        Answer(body=(b'{"choices": [', Fault.DISCONNECT)),
        Answer(body=(b"x" * (MAX_REPLY_BYTES + 1),)),
    ],
)
async def test_a_failure_leaves_the_query_and_the_model_alone_for_a_while(
    server: ScriptedUpstream,
    rewriter: QueryRewriter,
    counted: Counted,
    clock: ManualClock,
    answer: Answer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.script(answer)
    with caplog.at_level(logging.DEBUG, "memrouter"):
        assert await rewriter.rewrite(HISTORY, QUERY) == QUERY
        asked = len(server.requests)
        assert await rewriter.rewrite(HISTORY, QUERY) == QUERY
        assert len(server.requests) == asked
        clock.ms += int(PAUSE_SECONDS * 1000) + 1
        assert await rewriter.rewrite(HISTORY, QUERY) == REWRITTEN
    assert counted.outcomes == ["failed", "skipped", "rewritten"]
    assert not any("buy" in message or "Figaro" in message for message in caplog.messages)
    assert "queries are rewritten again" in caplog.messages


async def test_a_model_that_hangs_leaves_the_query_in_time_and_is_hung_up_on(
    server: ScriptedUpstream, upstream: HttpUpstream, tokens: TokenCounter, counted: Counted, clock: ManualClock
) -> None:
    server.script(Answer(body=(b'{"choices"', Fault.HANG)))
    rewriter = made(upstream, tokens, counted, clock, timeout_ms=200)
    assert await rewriter.rewrite(HISTORY, QUERY) == QUERY
    assert counted.outcomes == ["timeout"]
    await asyncio.wait_for(server.seen_disconnect.wait(), 10)


async def test_tokens_are_counted_here_where_the_server_does_not_tell(
    server: ScriptedUpstream, rewriter: QueryRewriter, counted: Counted, tokens: TokenCounter
) -> None:
    server.script(Answer.json({"choices": [{"index": 0, "message": {"content": REWRITTEN}}]}))
    await rewriter.rewrite(HISTORY, QUERY)
    sent = [message["content"] for message in server.requests[0].json()["messages"]]
    assert counted.tokens == [(tokens.count("\n".join(sent)), tokens.count(REWRITTEN))]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}, (10, 4)),
        ({"prompt_tokens": -5, "completion_tokens": 10**15}, (0, 1_000_000)),
    ],
)
async def test_figures_of_the_server_are_taken_within_reason(
    server: ScriptedUpstream, rewriter: QueryRewriter, counted: Counted, usage: object, expected: tuple[int, int]
) -> None:
    body = json.dumps({"choices": [{"message": {"content": REWRITTEN}}], "usage": usage}).encode()
    server.script(Answer(body=(body,)))
    await rewriter.rewrite(HISTORY, QUERY)
    assert counted.tokens == [expected]
