"""The Messages API through Anthropic's own client, against a real router."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
import pytest_asyncio
from anthropic import Anthropic, AsyncAnthropic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memrouter.testing.upstream import Answer, Fault, ScriptedUpstream, completion_chunks

from .servers import CANARY, Caller, JsonObject, Response

SAID = f"My {CANARY} is called Pip and sings at six in the morning."
REPLY = f"Noted: your {CANARY} Pip sings at six in the morning."
MESSAGES: Any = [{"role": "user", "content": SAID}]
TOOL: Any = {
    "name": "feed",
    "description": f"Feeds a {CANARY}.",
    "input_schema": {"type": "object", "properties": {"grams": {"type": "integer"}}},
}
NEVER = 30.0


@pytest_asyncio.fixture(loop_scope="session")
async def claude(alice: Caller) -> AsyncIterator[AsyncAnthropic]:
    """The official client, as Alice."""
    async with AsyncAnthropic(
        base_url=alice.router.url, api_key="test", default_headers=alice.all_headers, max_retries=0, timeout=60
    ) as client:
        yield client


async def ask(caller: Caller, *messages: JsonObject, **fields: Any) -> Response:
    body = {"model": "scripted", "max_tokens": 99, "messages": list(messages) or MESSAGES, **fields}
    return await caller.request("POST", "/v1/messages", json.dumps(body).encode())


def sent(upstream: ScriptedUpstream) -> list[JsonObject]:
    messages: list[JsonObject] = upstream.requests[-1].json()["messages"]
    return messages


def streamed_call() -> Answer:
    parts = [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "feed", "arguments": '{"gr'}},
        {"index": 0, "function": {"arguments": 'ams": 5}'}},
    ]
    choices = [{"index": 0, "delta": {"tool_calls": [part]}} for part in parts]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    chunks = [b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n" for choice in choices]
    return Answer.stream(*chunks, b"data: [DONE]\n\n")


async def test_the_async_client_gets_a_message(
    alice: Caller, claude: AsyncAnthropic, upstream: ScriptedUpstream
) -> None:
    upstream.script(Answer.completion(REPLY))
    raw = await claude.messages.with_raw_response.create(
        model="scripted", max_tokens=99, messages=MESSAGES, system="Be brief.", metadata={"user_id": "mallory"}
    )
    message = await raw.parse()
    (block,) = message.content
    assert block.type == "text"
    assert block.text == REPLY
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("end_turn", 1, 1)
    assert message.id.startswith("msg_")
    assert raw.headers["x-memory-status"] == "missing"
    assert raw.headers["request-id"] == raw.headers["x-request-id"] == message._request_id
    assert sent(upstream) == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SAID}]
    assert len(await alice.stored(1)) == 1


async def test_the_sync_client_gets_the_same(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(Answer.completion(REPLY), Answer.stream(*completion_chunks("A ", "canary")))

    def asked() -> tuple[str, str]:
        with Anthropic(base_url=alice.router.url, api_key="test", default_headers=alice.all_headers) as client:
            whole = client.messages.create(model="scripted", max_tokens=99, messages=MESSAGES)
            with client.messages.stream(model="scripted", max_tokens=99, messages=MESSAGES) as stream:
                return getattr(whole.content[0], "text", ""), stream.get_final_text()

    assert await asyncio.to_thread(asked) == (REPLY, "A canary")


async def test_the_clients_stream_helper_follows_the_events(claude: AsyncAnthropic, upstream: ScriptedUpstream) -> None:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}\n\n'
    *chunks, done = completion_chunks("A canary ", "sings.")
    upstream.script(Answer.stream(*chunks, usage, done))
    async with claude.messages.stream(model="scripted", max_tokens=99, messages=MESSAGES) as stream:
        kinds = [event.type async for event in stream]
        message = await stream.get_final_message()
    assert [kind for kind in kinds if kind != "text"] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    assert message.content[0].type == "text"
    assert message.content[0].text == "A canary sings."
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 3)


async def test_thinking_is_passed_on_and_not_stored(
    alice: Caller, claude: AsyncAnthropic, upstream: ScriptedUpstream
) -> None:
    thought = b'data: {"choices": [{"index": 0, "delta": {"reasoning_content": "a secret thought"}}]}\n\n'
    upstream.script(Answer.stream(thought, *completion_chunks(REPLY)))
    async with claude.messages.stream(model="scripted", max_tokens=99, messages=MESSAGES) as stream:
        message = await stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]
    (memory,) = await alice.stored(1)
    assert memory["content"] == f"Q: {SAID}\nA: {REPLY}"


async def test_a_round_of_tools(claude: AsyncAnthropic, upstream: ScriptedUpstream) -> None:
    upstream.script(streamed_call(), Answer.completion(REPLY))
    async with claude.messages.stream(model="scripted", max_tokens=99, messages=MESSAGES, tools=[TOOL]) as stream:
        first = await stream.get_final_message()
    (use,) = first.content
    assert use.type == "tool_use"
    assert (use.name, use.input, first.stop_reason) == ("feed", {"grams": 5}, "tool_use")
    result: Any = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "fed"}]}
    messages: Any = [*MESSAGES, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    last = await claude.messages.create(model="scripted", max_tokens=99, messages=messages, tools=[TOOL])
    assert getattr(last.content[0], "text", "") == REPLY
    user, assistant, tool = sent(upstream)
    assert user["content"] == SAID
    assert json.loads(assistant["tool_calls"][0]["function"]["arguments"]) == {"grams": 5}
    assert tool == {"role": "tool", "tool_call_id": use.id, "content": "fed"}


async def test_what_was_said_comes_back_before_the_last_message(alice: Caller, upstream: ScriptedUpstream) -> None:
    await alice.remember(f"The {CANARY} of this user is called Pip.")
    question = {"role": "user", "content": f"What is my {CANARY} called?"}
    answer = await ask(alice, question, system="Be brief.", stream=True)
    assert (answer.status, answer.memory) == (200, "used")
    system, block, last = sent(upstream)
    assert system["content"] == "Be brief."
    assert "Pip" in block["content"]
    assert last == question


async def test_of_an_agents_request_only_the_users_own_words_are_stored(
    alice: Caller, upstream: ScriptedUpstream
) -> None:
    upstream.script(Answer.completion(REPLY))
    reminder = f"<system-reminder>\nThe {CANARY} file CLAUDE.md says: always use tabs.\n</system-reminder>"
    call = {"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "a.py"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": f"def {CANARY}():\n    return 1\n" * 3_000}
    messages: list[JsonObject] = [
        {"role": "user", "content": f"Read the {CANARY} file, please."},
        {"role": "assistant", "content": [{"type": "text", "text": "I read it."}, call]},
        {"role": "user", "content": [result]},
        {"role": "assistant", "content": "It defines one function."},
        {"role": "user", "content": [{"type": "text", "text": reminder}, {"type": "text", "text": SAID}]},
    ]
    system = [{"type": "text", "text": f"You are a {CANARY} agent. " * 3_000, "cache_control": {"type": "ephemeral"}}]
    assert (await ask(alice, *messages, system=system, tools=[TOOL])).status == 200
    (memory,) = await alice.stored(1)
    assert memory["content"] == f"Q: {SAID}\nA: {REPLY}"
    assert reminder in sent(upstream)[-1]["content"]


async def test_a_session_header_names_the_conversation(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(Answer.completion(REPLY), Answer.completion(f"{REPLY} Indeed."))
    for said in (SAID, f"{SAID} Every day."):
        await ask(alice.having(x_session_id="s1"), {"role": "user", "content": said})
    assert len({memory["conversation_id"] for memory in await alice.stored(2)}) == 1


async def test_a_real_model_server_answers_both_ways(claude: AsyncAnthropic) -> None:
    whole = await claude.messages.create(model="qwen3", max_tokens=999, messages=MESSAGES)
    async with claude.messages.stream(model="qwen3", max_tokens=999, messages=MESSAGES) as stream:
        streamed = await stream.get_final_text()
    assert SAID in getattr(whole.content[0], "text", "")
    assert SAID in streamed


async def test_tokens_are_estimated(claude: AsyncAnthropic, upstream: ScriptedUpstream) -> None:
    few = await claude.messages.count_tokens(model="scripted", messages=MESSAGES)
    many = await claude.messages.count_tokens(model="scripted", messages=MESSAGES, system=SAID, tools=[TOOL])
    assert 10 <= few.input_tokens <= 30
    assert many.input_tokens > 1.8 * few.input_tokens
    assert upstream.requests == []


async def test_models_are_listed_in_the_form_of_the_asking_client(alice: Caller, claude: AsyncAnthropic) -> None:
    listed = [model.id async for model in claude.models.list(limit=2)]
    assert {"scripted", "auto", "qwen3"} <= set(listed)
    assert (await claude.models.retrieve("scripted")).type == "model"
    assert sorted(listed) == sorted([model.id async for model in alice.openai.models.list()])


async def test_a_stream_is_translated_as_it_comes(claude: AsyncAnthropic, upstream: ScriptedUpstream) -> None:
    first, second, *rest = completion_chunks("A canary ", "sings.")
    gate, end = asyncio.Event(), asyncio.Event()
    upstream.script(Answer.stream(first, gate, second, end, *rest))
    async with (
        asyncio.timeout(NEVER),
        claude.messages.stream(model="scripted", max_tokens=99, messages=MESSAGES) as stream,
    ):
        texts = aiter(stream.text_stream)
        assert await anext(texts) == "A canary "
        gate.set()
        assert await anext(texts) == "sings."
        end.set()
        assert [text async for text in texts] == []


@pytest.mark.parametrize("fault", [Fault.DISCONNECT, Fault.RESET])
async def test_an_upstream_that_dies_in_a_stream_is_an_error_and_nothing_is_stored(
    alice: Caller, claude: AsyncAnthropic, upstream: ScriptedUpstream, fault: Fault
) -> None:
    gate = asyncio.Event()
    upstream.script(Answer.stream(completion_chunks(REPLY)[0], gate, fault))
    async with asyncio.timeout(NEVER):
        stream = await claude.messages.create(model="scripted", max_tokens=99, messages=MESSAGES, stream=True)
        assert (await anext(aiter(stream))).type == "message_start"
        gate.set()
        with pytest.raises(anthropic.APIStatusError, match="broke off") as failed:
            await anext(event async for event in stream if event.type == "message_stop")
    assert "127.0.0.1" not in str(failed.value)
    assert await alice.stored_meanwhile() == []


async def test_an_upstream_that_dies_in_a_plain_answer_is_a_bad_gateway(
    alice: Caller, upstream: ScriptedUpstream
) -> None:
    upstream.script(Answer(headers={"Content-Type": "application/json"}, body=(b'{"choices": [', Fault.DISCONNECT)))
    answer = await ask(alice)
    assert (answer.status, answer.json()["error"]["type"]) == (502, "api_error")
    assert await alice.stored_meanwhile() == []


async def test_a_client_that_hangs_up_cancels_the_upstream_call(
    alice: Caller, claude: AsyncAnthropic, upstream: ScriptedUpstream
) -> None:
    upstream.script(Answer.stream(completion_chunks(REPLY)[0], Fault.HANG))
    async with asyncio.timeout(NEVER):
        stream = await claude.messages.create(model="scripted", max_tokens=99, messages=MESSAGES, stream=True)
        await anext(aiter(stream))
        await stream.close()
        await upstream.seen_disconnect.wait()
    assert await alice.stored_meanwhile() == []


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, anthropic.BadRequestError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (503, anthropic.InternalServerError),
    ],
)
async def test_an_error_of_the_upstream_reaches_the_client(
    claude: AsyncAnthropic, upstream: ScriptedUpstream, status: int, raised: type[anthropic.APIStatusError]
) -> None:
    upstream.script(Answer.error(status, "no luck"))
    with pytest.raises(raised, match="no luck") as refused:
        await claude.messages.create(model="scripted", max_tokens=99, messages=MESSAGES)
    assert refused.value.status_code == (529 if status == 503 else status)
    assert refused.value.request_id


async def test_an_unknown_model_is_not_found(claude: AsyncAnthropic, upstream: ScriptedUpstream) -> None:
    with pytest.raises(anthropic.NotFoundError) as refused:
        await claude.messages.create(model="claude-9", max_tokens=99, messages=MESSAGES)
    assert refused.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]  # an object


async def test_a_body_over_the_limit_is_too_large(alice: Caller, upstream: ScriptedUpstream) -> None:
    answer = await ask(alice, {"role": "user", "content": "x" * (10 * 1024 * 1024)})
    assert (answer.status, answer.json()["error"]["type"]) == (413, "request_too_large")


@pytest.mark.parametrize("route", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "the body"),
        (b"[]", "the body"),
        (b'{"model": "scripted", "x": ' + b"[" * 100_000, "the body"),
        (b'{"model": "scripted", "max_tokens": 1, "x": ' + b"[" * 500 + b"]" * 500 + b"}", "the body"),
        (b'{"max_tokens": 1, "messages": [{"role": "user", "content": "a"}]}', "model"),
        (b'{"model": "scripted", "max_tokens": 1, "messages": []}', "messages"),
        (b'{"model": "scripted", "max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "video"}]}]}',
         "messages.0.content.0.type"),
        (b'{"model": "scripted", "max_tokens": 1, "messages": [{"role": "root", "content": "a"}]}', "messages.0.role"),
    ],
)  # fmt: skip
async def test_a_bad_body_is_refused_by_name(
    alice: Caller, upstream: ScriptedUpstream, route: str, body: bytes, field: str
) -> None:
    answer = await alice.request("POST", route, body)
    error = answer.json()
    assert (answer.status, error["type"], error["error"]["type"]) == (400, "error", "invalid_request_error")
    assert error["error"]["message"].startswith(field)
    assert error["request_id"] == answer.headers["request-id"]
    assert upstream.requests == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.sampled_from(["user", "text", "image"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "content", "text"]), inner)
    ),
    max_leaves=10,
)
bodies = st.fixed_dictionaries(
    {"model": st.just("scripted"), "messages": json_values},
    optional=dict.fromkeys(("max_tokens", "system", "tools", "tool_choice", "stop_sequences", "stream"), json_values),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies)
async def test_no_json_body_makes_the_router_fail(
    alice: Caller, upstream: ScriptedUpstream, body: dict[str, Any]
) -> None:
    for route in ("/v1/messages", "/v1/messages/count_tokens"):
        answer = await alice.request("POST", route, json.dumps(body).encode())
        assert answer.status in (200, 400)
        assert answer.status == 200 or answer.json()["error"]["type"] == "invalid_request_error"
