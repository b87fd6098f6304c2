"""A model behind a real HTTP server does a piece of work, or says why not."""

import json
import random
from collections.abc import AsyncIterator

import pytest

from memrouter.config.settings import Settings
from memrouter.embeddings.tokens import TokenCounter
from memrouter.errors import UpstreamError, UpstreamTimeout
from memrouter.memory.helper_model import MAX_REPLY_BYTES, HelperModel, UpstreamStatus
from memrouter.models.turn import ModelChoice
from memrouter.testing.clock import ManualClock
from memrouter.testing.upstream import Answer, Fault, ScriptedUpstream
from memrouter.upstream.client import HttpUpstream

ASKED = [{"role": "system", "content": "Say it short."}, {"role": "user", "content": "Half a character: \ud83d"}]


@pytest.fixture(scope="module")
def tokens() -> TokenCounter:
    return TokenCounter.load()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(Answer.completion("short")) as running:
        yield running


@pytest.fixture
async def upstream(server: ScriptedUpstream) -> AsyncIterator[HttpUpstream]:
    model = {"name": "small", "backend_refs": [{"base_url": server.url}]}
    settings = Settings.model_validate({"providers": {"models": [model]}})
    client = HttpUpstream(settings, env={}, clock=ManualClock(), rng=random.Random(1))
    yield client
    await client.aclose()


def helper(upstream: HttpUpstream, tokens: TokenCounter, *, timeout_ms: int = 30_000) -> HelperModel:
    choice = ModelChoice("small", "org/small")
    return HelperModel(upstream, model=choice, max_tokens=20, timeout_ms=timeout_ms, tokens=tokens)


async def test_what_is_sent_is_an_openai_request(
    server: ScriptedUpstream, upstream: HttpUpstream, tokens: TokenCounter
) -> None:
    written = await helper(upstream, tokens).ask(ASKED, response_format={"type": "json_object"})
    assert (written.text, written.prompt_tokens, written.completion_tokens) == ("short", 1, 1)
    assert server.requests[0].json() == {
        "model": "org/small",
        "messages": [ASKED[0], {"role": "user", "content": "Half a character: ?"}],
        "max_tokens": 20,
        "temperature": 0,
        "stream": False,
        "response_format": {"type": "json_object"},
    }
    await helper(upstream, tokens).ask(ASKED)
    assert "response_format" not in server.requests[1].json()


async def test_an_error_of_the_server_keeps_its_status(
    server: ScriptedUpstream, upstream: HttpUpstream, tokens: TokenCounter
) -> None:
    server.script(Answer.error(422))
    with pytest.raises(UpstreamStatus, match="status 422") as raised:
        await helper(upstream, tokens).ask(ASKED)
    assert raised.value.status == 422


async def test_a_server_that_hangs_is_given_up_in_time(
    server: ScriptedUpstream, upstream: HttpUpstream, tokens: TokenCounter
) -> None:
    server.script(Answer(body=(b'{"choices"', Fault.HANG)))
    with pytest.raises(UpstreamTimeout):
        await helper(upstream, tokens, timeout_ms=200).ask(ASKED)


@pytest.mark.parametrize(
    "answer",
    [Answer.fault(Fault.RESET), Answer(body=(b"{", Fault.DISCONNECT)), Answer(body=(b"x" * (MAX_REPLY_BYTES + 1),))],
)
async def test_an_answer_that_breaks_off_or_does_not_end_is_an_error(
    server: ScriptedUpstream, upstream: HttpUpstream, tokens: TokenCounter, answer: Answer
) -> None:
    server.script(answer)
    with pytest.raises(UpstreamError):
        await helper(upstream, tokens).ask(ASKED)


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, b"\xff", b"null", b'{"choices": []}'])
async def test_an_answer_of_another_shape_has_no_text(
    server: ScriptedUpstream, upstream: HttpUpstream, tokens: TokenCounter, body: bytes
) -> None:
    server.script(Answer(body=(body,)))
    written = await helper(upstream, tokens).ask(ASKED)
    assert written.text == ""
    assert written.prompt_tokens == tokens.count("Say it short.\nHalf a character: ?")


async def test_figures_are_taken_within_reason(
    server: ScriptedUpstream, upstream: HttpUpstream, tokens: TokenCounter
) -> None:
    usage = {"prompt_tokens": -5, "completion_tokens": 10**15}
    body = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage}).encode()
    server.script(Answer(body=(body,)))
    written = await helper(upstream, tokens).ask(ASKED)
    assert (written.prompt_tokens, written.completion_tokens) == (0, 1_000_000)
