"""Bad input over HTTP: always a 4xx in OpenAI's form with the field named, never a 5xx, and the router lives on."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memrouter.testing.upstream import ScriptedUpstream

from .servers import Caller, Response, Router, chat_body

over_http = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""Examples share the router and its upstream: every request stands alone."""


def check_refusal(answer: Response) -> dict[str, Any]:
    """Check that an answer is a refusal in OpenAI's form, and return its error."""
    assert 400 <= answer.status < 500
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "code", "param"}
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    return error


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", "body"),
        (b"{", "invalid_json", "body"),
        (b"null", "invalid_type", "body"),
        (b"[]", "invalid_type", "body"),
        (b'{"model": "auto"}', "invalid_type", "messages"),
        (b'{"messages": []}', "invalid_type", "model"),
        (b'{"model": "auto", "messages": []}', "invalid_request", "messages"),
        (b'{"model": "", "messages": [{"role": "user"}]}', "invalid_request", "model"),
        (b'{"model": 7, "messages": []}', "invalid_type", "model"),
        (b'{"model": "auto", "messages": "hello"}', "invalid_type", "messages"),
        (b'{"model": "auto", "messages": [7]}', "invalid_type", "messages[0]"),
        (b'{"model": "auto", "messages": [{"content": "hi"}]}', "invalid_type", "messages[0].role"),
        (b'{"model": "auto", "messages": [{"role": "user", "content": 7}]}', "invalid_type", "messages[0].content"),
        (b'{"model": "auto", "stream": "yes", "messages": [{"role": "user"}]}', "invalid_type", "stream"),
        (b'{"model": "auto", "messages": [{"role": "user", "content": "\xff"}]}', "invalid_encoding", "body"),
        (b'{"model": "auto", "model": "auto", "messages": [{"role": "user"}]}', "duplicate_key", "model"),
        (b'{"model": "auto", "messages": [{"role": "user", "content": "a\x00b"}]}', "invalid_json", "body"),
        (b"[" * 100_000, "invalid_type", "body"),
        (b'{"model": "a", "messages": [{"role": "user"}], "model": "b"}', "duplicate_key", "model"),
        (b'{"model": "auto", "messages": [{"role": "user"}], "x": ' + b"[" * 100_000, "invalid_json", "body"),
    ],
)
async def test_a_bad_body_is_refused_by_name(
    alice: Caller, upstream: ScriptedUpstream, body: bytes, code: str, param: str
) -> None:
    answer = await alice.post(body)
    assert answer.status == 400
    error = check_refusal(answer)
    assert (error["code"], error["param"]) == (code, param)
    assert upstream.requests == []


@pytest.mark.parametrize("text", ["a\u0000b", "\ud800", "\ufffe\uffff", "x" * 1_000_000])
async def test_odd_text_is_answered_and_stored_without_harm(
    alice: Caller, upstream: ScriptedUpstream, text: str
) -> None:
    answer = await alice.chat(f"My canary said something odd this morning: {text}")
    if text == "\ud800":
        check_refusal(answer)
        return
    assert (answer.status, answer.memory) == (200, "missing")
    (memory,) = await alice.stored(1)
    assert len(memory["content"].encode()) <= 16_384
    assert "\u0000" not in memory["content"]


async def test_text_that_is_not_what_it_shows_is_answered_and_kept_apart(
    alice: Caller, upstream: ScriptedUpstream
) -> None:
    answer = await alice.chat("My canary said something odd this morning: \u202e reversed")
    assert (answer.status, answer.memory) == (200, "missing")
    assert await alice.stored_meanwhile() == []
    (apart,) = (await alice.request("GET", "/v1/memory?quarantined=true")).json()["memories"]
    assert apart["quarantine"] == "hidden_text"


LIMIT = 10 * 1024 * 1024
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nhost: router\r\ncontent-type: application/json\r\n"


def check_too_large(answer: str) -> None:
    assert answer.startswith("HTTP/1.1 413 ")
    assert '"code":"body_too_large"' in answer


async def test_a_body_up_to_the_limit_is_answered(alice: Caller, upstream: ScriptedUpstream) -> None:
    body = chat_body("My canary is very fond of blanks in texts.").ljust(LIMIT)
    assert (await alice.post(body)).status == 200
    assert upstream.requests[-1].body == body


async def test_a_body_that_is_announced_over_the_limit_is_too_large(router: Router, upstream: ScriptedUpstream) -> None:
    check_too_large(await router.exchange(CHAT, f"content-length: {LIMIT + 1}\r\n\r\n".encode()))
    assert upstream.requests == []


async def test_a_body_without_a_length_is_too_large_once_it_passes_the_limit(
    router: Router, upstream: ScriptedUpstream
) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    check_too_large(
        await router.exchange(
            CHAT, b"transfer-encoding: chunked\r\n\r\n", *([chunk] * (LIMIT // 0x10000)), b"1\r\n \r\n"
        )
    )
    assert upstream.requests == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "tool", "developer", ""]) | json_values,
        "content": st.text(max_size=200)
        | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=30)}), max_size=3)
        | json_values,
        "tool_calls": json_values,
        "name": json_values,
    },
)
bodies = st.fixed_dictionaries(
    {"model": st.sampled_from(["scripted", "auto", "renamed", "nobody"]) | json_values},
    optional={
        "messages": st.lists(messages, max_size=5) | json_values,
        "stream": st.booleans() | json_values,
        "tools": json_values,
        "n": json_values,
    },
)


async def check(caller: Caller, upstream: ScriptedUpstream, body: bytes) -> None:
    """Check that the router either hands the request on or refuses it in OpenAI's form."""
    upstream.requests.clear()
    answer = await caller.post(body)
    if answer.status == 200:
        assert len(upstream.requests) == 1
        json.loads(upstream.requests[0].body)
        assert answer.memory in ("used", "missing", "ignored", "disabled", "policy_blocked")
    else:
        check_refusal(answer)
        assert upstream.requests == []


@over_http
@given(body=bodies)
async def test_no_json_body_makes_the_router_fail(
    alice: Caller, upstream: ScriptedUpstream, body: dict[str, Any]
) -> None:
    await check(alice, upstream, json.dumps(body).encode())


@over_http
@given(data=st.data())
async def test_no_damaged_body_makes_the_router_fail(
    alice: Caller, upstream: ScriptedUpstream, data: st.DataObject
) -> None:
    body = bytearray(chat_body("My canary sings at six in the morning.", "And now?", n=2, stop=["\n"], seed=1))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        body[start : start + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=5))
    await check(alice, upstream, bytes(body))


@over_http
@given(text=st.text(max_size=300))
async def test_no_text_makes_the_router_fail(alice: Caller, upstream: ScriptedUpstream, text: str) -> None:
    await check(alice, upstream, chat_body(text))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_another_method_is_not_allowed(alice: Caller, method: str) -> None:
    answer = await alice.request(method, "/v1/chat/completions")
    assert answer.status == 405
    assert check_refusal(answer)["code"] == "method_not_allowed"


async def test_an_unknown_route_is_not_found(alice: Caller) -> None:
    answer = await alice.request("POST", "/v1/chat/completion", b"{}")
    assert answer.status == 404
    assert check_refusal(answer)["code"] == "route_not_found"
