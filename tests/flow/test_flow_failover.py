"""Model servers that fail: the next one answers, or the client learns in OpenAI's form what happened."""

import json

import openai
import pytest

from memrouter.testing.upstream import Answer, Fault, ScriptedUpstream

from .servers import Caller

SAID = "Tell me something about my canary that I did not know before."


async def test_the_second_backend_answers_while_the_first_is_down(
    alice: Caller, second_upstream: ScriptedUpstream
) -> None:
    before = await alice.router.metric("memrouter_upstream_failovers_total", model="twin")
    answer = await alice.chat(SAID, model="twin")
    assert (answer.status, answer.text, answer.memory) == (200, "ok", "missing")
    assert len(second_upstream.requests) == 1
    assert await alice.router.metric("memrouter_upstream_failovers_total", model="twin") == before + 1
    assert len(await alice.stored(1)) == 1


@pytest.mark.parametrize(
    "failure", [Answer.error(500), Answer.error(503), Answer.fault(Fault.DISCONNECT), Answer.fault(Fault.RESET)]
)
async def test_the_second_backend_answers_where_the_first_fails(
    alice: Caller, upstream: ScriptedUpstream, second_upstream: ScriptedUpstream, failure: Answer
) -> None:
    upstream.script(failure, failure)
    answer = await alice.chat(SAID, model="twin")
    assert (answer.status, answer.text) == (200, "ok")
    assert second_upstream.requests[0].body == upstream.requests[0].body


async def test_the_first_backend_is_preferred_while_it_works(
    alice: Caller, upstream: ScriptedUpstream, second_upstream: ScriptedUpstream
) -> None:
    for _ in range(5):
        assert (await alice.chat(SAID, model="twin")).status == 200
    assert (len(upstream.requests), len(second_upstream.requests)) == (5, 0)


async def test_a_client_error_is_no_reason_to_ask_another_backend(
    alice: Caller, upstream: ScriptedUpstream, second_upstream: ScriptedUpstream
) -> None:
    upstream.script(Answer.error(422, "no such parameter"))
    answer = await alice.chat(SAID, model="twin")
    assert (answer.status, answer.json()["error"]["message"]) == (422, "no such parameter")
    assert second_upstream.requests == []


async def test_without_any_backend_the_client_gets_an_openai_error(alice: Caller) -> None:
    answer = await alice.chat(SAID, model="twin")
    assert (answer.status, answer.memory) == (502, "missing")
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "upstream_unreachable")
    assert answer.headers["x-request-id"] in error["message"]
    assert "127.0.0.1" not in error["message"], "where the backends are is not for clients"
    with pytest.raises(openai.InternalServerError) as caught:
        await alice.openai.chat.completions.create(model="twin", messages=[{"role": "user", "content": SAID}])
    assert caught.value.code == "upstream_unreachable"


async def test_when_all_backends_fail_the_last_error_is_relayed_and_nothing_stored(
    alice: Caller, upstream: ScriptedUpstream, second_upstream: ScriptedUpstream
) -> None:
    upstream.script(Answer.error(503, "first is full"))
    second_upstream.script(Answer.error(500, "second is broken"))
    answer = await alice.chat(SAID, model="twin")
    assert (answer.status, answer.memory) == (500, "missing")
    assert answer.json()["error"]["message"] == "second is broken"
    assert await alice.stored_meanwhile() == []


async def test_an_upstream_error_keeps_status_headers_and_body(alice: Caller, upstream: ScriptedUpstream) -> None:
    body = json.dumps({"error": {"message": "slow down", "type": "rate_limit", "code": "x", "param": None}}).encode()
    headers = {"Content-Type": "application/json", "Retry-After": "17", "X-RateLimit-Remaining-Requests": "0"}
    upstream.script(*(Answer(status=429, headers=headers, body=(b" " + body,)) for _ in range(2)))
    answer = await alice.chat(SAID)
    assert (answer.status, answer.body, answer.memory) == (429, b" " + body, "missing")
    assert answer.headers["retry-after"] == "17"
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.RateLimitError, match="slow down"):
        await alice.openai.chat.completions.create(model="scripted", messages=[{"role": "user", "content": SAID}])
    assert await alice.stored_meanwhile() == []


async def test_ready_names_the_models_without_a_backend(alice: Caller) -> None:
    report = (await alice.router.get("/ready")).json()
    assert report["checks"]["upstream"]["status"] in ("ok", "degraded")
    assert report["checks"]["memory_store"]["status"] == "ok"
    assert (await alice.router.get("/health")).json() == {"status": "ok"}
