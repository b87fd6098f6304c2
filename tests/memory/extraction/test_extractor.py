"""Facts drawn by a model behind a real HTTP server; whatever happens, nothing is raised."""

import asyncio
import logging

import pytest

from memrouter.embeddings.tokens import TokenCounter
from memrouter.memory.extraction.extractor import PAUSE_SECONDS, FactExtractor
from memrouter.memory.helper_model import MAX_REPLY_BYTES, HelperModel
from memrouter.models.turn import ModelChoice
from memrouter.testing.clock import ManualClock
from memrouter.testing.extraction_model import fact, facts_answer, shown_facts, shown_turns, text_answer
from memrouter.testing.upstream import Answer, Fault, ScriptedUpstream
from memrouter.upstream.client import HttpUpstream

from .conftest import Counted
from .extraction_records import known, turn

TURNS = [turn("My cat is called Luna."), turn("She is three.", number=1)]
KNOWN = [known("The user has no pets.")]
CAT = "The user has a cat called Luna."


async def texts(extractor: FactExtractor) -> list[str] | None:
    found = await extractor.extract(TURNS, KNOWN)
    return None if found is None else [kept.text for kept in found.kept]


async def test_the_model_sees_the_turns_and_what_is_remembered(
    server: ScriptedUpstream, extractor: FactExtractor, counted: Counted
) -> None:
    server.script(facts_answer(fact(CAT, turns=(1, 2)), prompt_tokens=812, completion_tokens=44))
    assert await texts(extractor) == [CAT]
    (request,) = server.requests
    sent = request.json()
    assert (sent["model"], sent["max_tokens"], sent["temperature"]) == ("org/small", 500, 0)
    assert sent["response_format"]["type"] == "json_schema"
    assert [line["user"] for line in shown_turns(request)] == ["My cat is called Luna.", "She is three."]
    assert [line["fact"] for line in shown_facts(request)] == ["The user has no pets."]
    assert counted.outcomes == ["extracted"]
    assert counted.tokens == [(812, 44)]


@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_that_knows_no_schema_is_asked_for_plain_json_from_then_on(
    server: ScriptedUpstream, extractor: FactExtractor, counted: Counted, status: int
) -> None:
    server.script(Answer.error(status), Answer.error(status), facts_answer(fact(CAT)))
    assert await texts(extractor) == [CAT]
    assert await texts(extractor) == []
    formats = [request.json().get("response_format", {}).get("type") for request in server.requests]
    assert formats == ["json_schema", "json_object", None, None]
    assert counted.outcomes == ["extracted", "extracted"]


async def test_a_server_that_refuses_everything_is_asked_for_the_schema_again(
    server: ScriptedUpstream, extractor: FactExtractor, counted: Counted, clock: ManualClock
) -> None:
    server.script(*(Answer.error(400) for _ in range(3)))
    assert await texts(extractor) is None
    clock.ms += int(PAUSE_SECONDS * 1000) + 1
    assert await texts(extractor) == []
    assert server.requests[-1].json()["response_format"]["type"] == "json_schema"
    assert counted.outcomes == ["failed", "extracted"]


@pytest.mark.parametrize(
    "answer",
    [
        text_answer(""),
        text_answer("I noted everything!"),
        text_answer("<think>hm"),
        text_answer('{"facts": [' * 20_000),
        Answer(body=(b"<html>",)),
        Answer.json({"choices": [{"message": {"content": None, "reasoning_content": "hm"}}]}),
    ],
)
async def test_an_answer_that_cannot_be_read_is_counted_and_costs(
    server: ScriptedUpstream, extractor: FactExtractor, counted: Counted, answer: Answer
) -> None:
    server.script(answer)
    assert await texts(extractor) is None
    assert counted.outcomes == ["unusable"]
    assert len(counted.tokens) == 1
    assert await texts(extractor) == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer.error(500),
        Answer.error(429),
        Answer.error(401),
        Answer.fault(Fault.RESET),
        Answer(body=(b"{", Fault.DISCONNECT)),
        Answer(body=(b"x" * (MAX_REPLY_BYTES + 1),)),
        text_answer("x" * 10_000_000),
    ],
)
async def test_after_a_failure_the_model_is_left_alone_for_a_while(
    server: ScriptedUpstream,
    extractor: FactExtractor,
    counted: Counted,
    clock: ManualClock,
    answer: Answer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.script(answer)
    with caplog.at_level(logging.DEBUG, "memrouter"):
        assert await texts(extractor) is None
        asked = len(server.requests)
        assert await texts(extractor) is None
        assert len(server.requests) == asked
        clock.ms += int(PAUSE_SECONDS * 1000) + 1
        assert await texts(extractor) == []
    assert counted.outcomes == ["failed", "skipped", "extracted"]
    assert "facts are drawn from turns again" in caplog.messages
    assert not any("Luna" in message or "anna" in message for message in caplog.messages)


async def test_a_model_that_hangs_is_given_up_and_hung_up_on(
    server: ScriptedUpstream, upstream: HttpUpstream, tokens: TokenCounter, counted: Counted, clock: ManualClock
) -> None:
    server.script(Answer(body=(b'{"choices"', Fault.HANG)))
    choice = ModelChoice("small", "org/small")
    model = HelperModel(upstream, model=choice, max_tokens=500, timeout_ms=200, tokens=tokens)
    assert await texts(FactExtractor(model, observer=counted, clock=clock)) is None
    assert counted.outcomes == ["timeout"]
    await asyncio.wait_for(server.seen_disconnect.wait(), 10)
