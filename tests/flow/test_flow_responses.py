"""The Responses API through OpenAI's own client, against a real router."""

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import OpenAI
from pydantic import BaseModel

from memrouter.testing.upstream import Answer, Fault, ScriptedUpstream, completion_chunks

from .conftest import Someone
from .servers import CANARY, Caller, JsonObject, Response, router_config, running_router

SAID = f"My {CANARY} is called Pip and sings at six in the morning."
REPLY = f"Noted: your {CANARY} Pip sings at six in the morning."
TOOL: Any = {
    "type": "function",
    "name": "feed",
    "description": f"Feeds a {CANARY}.",
    "parameters": {"type": "object", "properties": {"grams": {"type": "integer"}}},
    "strict": False,
}
NEVER = 30.0


def call_answer(arguments: str = '{"grams": 5}') -> Answer:
    function = {"name": "feed", "arguments": arguments}
    message = {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    return Answer.json({"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})


def streamed(*texts: str) -> Answer:
    return Answer.stream(*completion_chunks(*texts))


async def respond(caller: Caller, said: Any = SAID, **fields: Any) -> Response:
    body = {"model": "scripted", "input": said, **fields}
    return await caller.request("POST", "/v1/responses", json.dumps(body).encode())


def sent(upstream: ScriptedUpstream) -> list[JsonObject]:
    messages: list[JsonObject] = upstream.requests[-1].json()["messages"]
    return messages


async def test_the_async_client_gets_a_whole_response(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(Answer.completion(REPLY))
    raw = await alice.openai.responses.with_raw_response.create(
        model="scripted", input=SAID, metadata={"k": "v"}, instructions="Be brief."
    )
    response = raw.parse()
    assert response.output_text == REPLY
    assert (response.status, response.metadata, response.instructions, response.store) == (
        "completed", {"k": "v"}, "Be brief.", True,
    )  # fmt: skip
    assert response.usage is not None
    assert response.usage.total_tokens == 2
    assert raw.headers["x-memory-status"] == "missing"
    assert raw.headers["x-vsr-selected-model"] == "scripted"
    assert int(raw.headers["content-length"]) > 0
    assert sent(upstream) == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SAID}]


async def test_the_sync_client_gets_the_same(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(Answer.completion(REPLY), streamed(*REPLY.split(" ")))

    def ask() -> tuple[str, str]:
        with OpenAI(base_url=f"{alice.router.url}/v1", api_key="test", default_headers=alice.all_headers) as client:
            whole = client.responses.create(model="scripted", input=SAID)
            with client.responses.stream(model="scripted", input=SAID) as stream:
                stream.until_done()
                return whole.output_text, stream.get_final_response().output_text

    assert await asyncio.to_thread(ask) == (REPLY, REPLY.replace(" ", ""))


async def test_the_clients_stream_helper_follows_the_events(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(streamed("A canary ", "sings."))
    async with alice.openai.responses.stream(model="scripted", input=SAID) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert [event.type for event in events] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
        "response.output_text.delta", "response.output_text.delta", "response.output_text.done",
        "response.content_part.done", "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert final.output_text == "A canary sings."
    kept = await alice.openai.responses.retrieve(final.id)
    assert kept.output_text == "A canary sings."


async def test_structured_answers_are_parsed(alice: Caller, upstream: ScriptedUpstream) -> None:
    class Bird(BaseModel):
        name: str
        age: int

    upstream.script(Answer.completion('{"name": "Pip", "age": 2}'))
    response = await alice.openai.responses.parse(model="scripted", input=SAID, text_format=Bird)
    assert response.output_parsed == Bird(name="Pip", age=2)
    assert upstream.requests[-1].json()["response_format"]["json_schema"]["name"] == "Bird"


@pytest.mark.parametrize("chained", [True, False])
async def test_a_round_of_tools(alice: Caller, upstream: ScriptedUpstream, chained: bool) -> None:
    upstream.script(call_answer(), Answer.completion(REPLY))
    client = alice.openai.responses
    first = await client.create(model="scripted", input=SAID, tools=[TOOL])
    (called,) = first.output
    assert called.type == "function_call"
    assert (called.name, called.arguments) == ("feed", '{"grams": 5}')
    output: Any = {"type": "function_call_output", "call_id": called.call_id, "output": "fed"}
    if chained:
        last = await client.create(model="scripted", input=[output], previous_response_id=first.id, tools=[TOOL])
    else:
        whole: Any = [{"role": "user", "content": SAID}, called.to_dict(), output]
        last = await client.create(model="scripted", input=whole, store=False, tools=[TOOL])
    assert last.output_text == REPLY
    user, assistant, tool = sent(upstream)
    assert (user["content"], assistant["tool_calls"][0]["id"]) == (SAID, "call_1")
    assert tool == {"role": "tool", "tool_call_id": "call_1", "content": "fed"}
    assert upstream.requests[-1].json()["tools"][0]["function"]["name"] == "feed"


async def test_streamed_calls_are_read_by_the_client(alice: Caller, upstream: ScriptedUpstream) -> None:
    parts = [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "feed", "arguments": '{"gr'}},
        {"index": 0, "function": {"arguments": 'ams": 5}'}},
    ]
    chunks = [
        b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [part]}}]}).encode() + b"\n\n"
        for part in parts
    ]
    upstream.script(Answer.stream(*chunks, b"data: [DONE]\n\n"))
    async with alice.openai.responses.stream(model="scripted", input=SAID, tools=[TOOL]) as stream:
        deltas = [event.delta async for event in stream if event.type == "response.function_call_arguments.delta"]
        (called,) = (await stream.get_final_response()).output
    assert deltas == ['{"gr', 'ams": 5}']
    assert called.type == "function_call"
    assert called.arguments == '{"grams": 5}'


async def test_a_chain_is_sent_whole_without_earlier_instructions(alice: Caller, upstream: ScriptedUpstream) -> None:
    client = alice.openai.responses
    first = await client.create(model="scripted", input=SAID, instructions="Be brief.")
    second = await client.create(model="scripted", input="And then?", previous_response_id=first.id)
    await client.create(
        model="scripted", input="And after?", previous_response_id=second.id, instructions="Be kind.", store=False
    )
    assert [message["content"] for message in sent(upstream)] == [
        "Be kind.", SAID, "ok", "And then?", "ok", "And after?",
    ]  # fmt: skip


async def test_a_chain_is_one_conversation_with_windows(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(*[Answer.completion(REPLY)] * 3)
    previous = None
    for number in range(3):
        said = f"My {CANARY} number {number} eats {number + 2} grams of seeds a day."
        answer = await respond(alice, said, previous_response_id=previous)
        assert answer.status == 200, answer.body
        previous = answer.json()["id"]
    memories = await alice.stored(4)
    assert len({memory["conversation_id"] for memory in memories}) == 1
    assert sorted((memory["source"], memory["turn_index"]) for memory in memories) == [
        ("conversation", 0), ("conversation", 1), ("conversation", 2), ("session_window", 2),
    ]  # fmt: skip


async def test_conversations_that_begin_alike_are_told_apart(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(Answer.completion(REPLY), Answer.completion(f"{REPLY} Again."))
    for _ in range(2):
        assert (await respond(alice)).status == 200
    assert len({memory["conversation_id"] for memory in await alice.stored(2)}) == 2


async def test_what_was_said_comes_back_in_a_new_chain(alice: Caller, upstream: ScriptedUpstream) -> None:
    await alice.remember(f"The {CANARY} of this user is called Pip.")
    answer = await respond(alice, f"What is my {CANARY} called?", stream=True)
    assert answer.headers["x-memory-status"] == "used"
    block, last = sent(upstream)
    assert "Pip" in block["content"]
    assert last["content"] == f"What is my {CANARY} called?"


async def test_the_turn_is_stored_without_the_block(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(streamed(REPLY))
    assert (await respond(alice, stream=True)).status == 200
    (memory,) = await alice.stored(1)
    assert memory["content"] == f"Q: {SAID}\nA: {REPLY}"


@pytest.mark.parametrize(
    ("group", "wish", "stored"), [("none", False, 0), ("read_only", True, 1), ("read_only", None, 0)]
)
async def test_the_clients_wish_to_store_wins_over_the_route(
    alice: Caller, upstream: ScriptedUpstream, group: str, wish: bool | None, stored: int
) -> None:
    upstream.script(Answer.completion(REPLY))
    assert (await respond(alice.having(x_authz_user_groups=group), auto_store=wish)).status == 200
    assert len(await alice.stored_meanwhile()) == stored


async def test_opting_out_of_memory_wins_over_the_clients_wish(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(Answer.completion(REPLY))
    answer = await respond(alice.having(x_disable_router_memory="true"), auto_store=True)
    assert answer.headers["x-memory-status"] == "policy_blocked"
    assert await alice.stored_meanwhile() == []


async def test_input_items_are_listed_with_parts_and_ids(alice: Caller, upstream: ScriptedUpstream) -> None:
    said: Any = [{"role": "user", "content": SAID}, {"role": "user", "content": "And?"}]
    response = await alice.openai.responses.create(model="scripted", input=said)
    items = [item async for item in alice.openai.responses.input_items.list(response.id, order="asc", limit=1)]
    assert [item.content[0].text for item in items] == [SAID, "And?"]


async def test_a_deleted_response_is_gone(alice: Caller, upstream: ScriptedUpstream) -> None:
    client = alice.openai.responses
    response = await client.create(model="scripted", input=SAID)
    answer = await alice.request("DELETE", f"/v1/responses/{response.id}")
    assert answer.json() == {"id": response.id, "object": "response.deleted", "deleted": True}
    with pytest.raises(openai.NotFoundError):
        await client.retrieve(response.id)
    with pytest.raises(openai.NotFoundError):
        await client.delete(response.id)


async def test_nobody_reaches_the_responses_of_another(someone: Someone, upstream: ScriptedUpstream) -> None:
    alice, mallory = someone(), someone()
    name = (await respond(alice)).json()["id"]
    absent = f"resp_{0:032x}"
    for caller in (mallory, alice.having(x_authz_project_id="other")):
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/input_items")):
            foreign = await caller.request(method, f"/v1/responses/{name}{path}")
            missing = await caller.request(method, f"/v1/responses/{absent}{path}")
            assert (foreign.status, foreign.body) == (404, missing.body)
        foreign = await respond(caller, previous_response_id=name)
        missing = await respond(caller, previous_response_id=absent)
        assert (foreign.status, foreign.body) == (404, missing.body)
        assert foreign.json()["error"]["param"] == "previous_response_id"
    assert (await alice.request("GET", f"/v1/responses/{name}")).status == 200


async def test_many_users_chains_never_cross(someone: Someone, upstream: ScriptedUpstream) -> None:
    async def converse(caller: Caller, number: int) -> list[str]:
        first = await respond(caller, f"secret {CANARY} {number}")
        second = await respond(caller, "again", previous_response_id=first.json()["id"])
        page = await caller.request("GET", f"/v1/responses/{second.json()['previous_response_id']}/input_items")
        return [item["content"][0]["text"] for item in page.json()["data"]]

    found = await asyncio.gather(*(converse(someone(), number) for number in range(20)))
    assert found == [[f"secret {CANARY} {number}"] for number in range(20)]
    for request in upstream.requests:
        secrets = {message["content"] for message in request.json()["messages"] if "secret" in message["content"]}
        assert len(secrets) == 1


async def test_nothing_is_kept_for_nobody(alice: Caller, upstream: ScriptedUpstream) -> None:
    nobody = alice.router.caller(None)
    answer = (await respond(nobody)).json()
    assert answer["store"] is False
    assert (await nobody.request("GET", f"/v1/responses/{answer['id']}")).status == 401
    assert (await respond(nobody, previous_response_id=answer["id"])).status == 404
    kept = (await respond(alice, store=False)).json()
    assert kept["store"] is False
    assert (await alice.request("GET", f"/v1/responses/{kept['id']}")).status == 404


@pytest.mark.parametrize("query", ["", "?receipt=true"])
async def test_deleting_all_memories_deletes_the_responses_too(
    alice: Caller, upstream: ScriptedUpstream, query: str
) -> None:
    name = (await respond(alice)).json()["id"]
    assert (await alice.request("DELETE", "/v1/memory?type=semantic")).status == 200
    assert (await alice.request("GET", f"/v1/responses/{name}")).status == 200
    assert (await alice.request("DELETE", f"/v1/memory{query}")).status == 200
    assert (await alice.request("GET", f"/v1/responses/{name}")).status == 404


async def test_a_stream_is_translated_as_it_comes(alice: Caller, upstream: ScriptedUpstream) -> None:
    first, second, *rest = completion_chunks("A canary ", "sings.")
    gate, end = asyncio.Event(), asyncio.Event()
    upstream.script(Answer.stream(first, gate, second, end, *rest))
    async with asyncio.timeout(NEVER):
        stream = await alice.openai.responses.create(model="scripted", input=SAID, stream=True)
        deltas = (event async for event in stream if event.type == "response.output_text.delta")
        assert (await anext(deltas)).delta == "A canary "
        gate.set()
        assert (await anext(deltas)).delta == "sings."
        end.set()
        assert [event async for event in deltas] == []


@pytest.mark.parametrize("fault", [Fault.DISCONNECT, Fault.RESET])
async def test_an_upstream_that_dies_in_a_stream_fails_the_response_and_nothing_is_kept(
    alice: Caller, upstream: ScriptedUpstream, fault: Fault
) -> None:
    gate = asyncio.Event()
    upstream.script(Answer.stream(completion_chunks(REPLY)[0], gate, fault))
    events = []
    async with asyncio.timeout(NEVER):
        stream = await alice.openai.responses.create(model="scripted", input=SAID, stream=True)
        async for event in stream:
            events.append(event)
            gate.set()
    assert events[-1].type == "response.failed"
    error = events[-1].response.error
    assert error is not None
    assert "broke off" in error.message
    assert "127.0.0.1" not in error.message
    assert (await alice.request("GET", f"/v1/responses/{events[-1].response.id}")).status == 404
    assert await alice.stored_meanwhile() == []


async def test_an_upstream_that_dies_in_a_plain_answer_is_a_bad_gateway(
    alice: Caller, upstream: ScriptedUpstream
) -> None:
    upstream.script(Answer(headers={"Content-Type": "application/json"}, body=(b'{"choices": [', Fault.DISCONNECT)))
    answer = await respond(alice)
    assert answer.status == 502
    assert "broke off" in answer.json()["error"]["message"]
    assert await alice.stored_meanwhile() == []


async def test_an_answer_that_is_none_is_a_bad_gateway(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(Answer.json({"hello": "world"}))
    assert (await respond(alice)).status == 502
    assert await alice.stored_meanwhile() == []


async def test_a_stream_that_stops_short_is_failed_and_not_stored(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(Answer.stream(completion_chunks(REPLY)[0]))
    answer = await respond(alice, stream=True)
    assert b"event: response.failed" in answer.body
    assert await alice.stored_meanwhile() == []


@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_of_the_upstream_reaches_the_client(
    alice: Caller, upstream: ScriptedUpstream, stream: bool
) -> None:
    upstream.script(Answer.error(429, "slow down"))
    with pytest.raises(openai.RateLimitError, match="slow down"):
        await alice.openai.responses.create(model="scripted", input=SAID, stream=stream)


async def test_a_client_that_hangs_up_cancels_the_upstream_call(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(Answer.stream(completion_chunks(REPLY)[0], Fault.HANG))
    async with asyncio.timeout(NEVER):
        stream = await alice.openai.responses.create(model="scripted", input=SAID, stream=True)
        created = await anext(aiter(stream))
        await stream.close()
        await upstream.seen_disconnect.wait()
    assert created.type == "response.created"
    assert await alice.stored_meanwhile() == []
    assert (await alice.request("GET", f"/v1/responses/{created.response.id}")).status == 404


async def test_a_real_model_server_answers_both_ways(alice: Caller) -> None:
    said = f"My {CANARY} likes apples and a bath on Sundays."
    whole = await alice.openai.responses.create(model="qwen3", input=said)
    async with alice.openai.responses.stream(model="qwen3", input=said, previous_response_id=whole.id) as stream:
        final = await stream.get_final_response()
    assert said in whole.output_text
    assert said in final.output_text


async def test_chains_outlive_the_router(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream:
        config = router_config({"scripted": [upstream.endpoint]}, memory={"embedding_model": "hash"})
        async with running_router(tmp_path, config) as router:
            name = (await respond(router.caller(CANARY))).json()["id"]
        async with running_router(tmp_path, config) as router:
            answer = await respond(router.caller(CANARY), "Again?", previous_response_id=name)
        assert answer.status == 200
        assert [message["content"] for message in sent(upstream)] == [SAID, "ok", "Again?"]


async def test_without_memory_nothing_is_kept_and_that_is_said(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream:
        config = router_config({"scripted": [upstream.endpoint]}, memory={"enabled": False})
        config["routing"]["decisions"] = []
        async with running_router(tmp_path, config) as router:
            caller = router.caller(CANARY)
            answer = await respond(caller)
            assert (answer.status, answer.json()["store"]) == (200, False)
            refused = await respond(caller, previous_response_id=answer.json()["id"])
            assert refused.status == 404
            assert "send the whole conversation" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b'{"model": "scripted", "input": "\xff"}', "body"),
        (b'{"model": "scripted", "input": "a", "x": ' + b"[" * 100_000, "body"),
        (b'{"model": "scripted", "input": "a", "x": ' + b"[" * 500 + b"]" * 500 + b"}", "body"),
        (b'{"model": "scripted"}', "input"),
        (b'{"model": "scripted", "messages": [{"role": "user", "content": "hi"}]}', "input"),
        (b'{"model": "scripted", "input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}',
         "input[0].content[0].image_url"),
        (b'{"model": "scripted", "input": "a", "tools": [{"type": "web_search"}]}', "tools[0].type"),
        (b'{"model": "scripted", "input": "a", "background": true}', "background"),
    ],
)  # fmt: skip
async def test_a_bad_body_is_refused_by_name(
    alice: Caller, upstream: ScriptedUpstream, body: bytes, param: str
) -> None:
    answer = await alice.request("POST", "/v1/responses", body)
    assert (answer.status, answer.json()["error"]["param"]) == (400, param)
    assert upstream.requests == []


async def test_a_body_over_the_limit_is_too_large(alice: Caller, upstream: ScriptedUpstream) -> None:
    answer = await respond(alice, "x" * (10 * 1024 * 1024))
    assert (answer.status, answer.json()["error"]["code"]) == (413, "body_too_large")


async def test_a_large_conversation_is_answered_kept_and_built_upon(alice: Caller, upstream: ScriptedUpstream) -> None:
    said = f"{CANARY} " * 50_000
    name = (await respond(alice, said)).json()["id"]
    assert (await respond(alice, "And?", previous_response_id=name)).status == 200
    assert sent(upstream)[0]["content"] == said


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "order=up", "after=nothing"])
async def test_a_bad_query_is_refused_by_name(alice: Caller, upstream: ScriptedUpstream, query: str) -> None:
    name = (await respond(alice)).json()["id"]
    answer = await alice.request("GET", f"/v1/responses/{name}/input_items?{query}")
    assert (answer.status, answer.json()["error"]["param"]) == (400, query.partition("=")[0])


async def test_a_kept_response_is_not_streamed_again(alice: Caller) -> None:
    answer = await alice.request("GET", f"/v1/responses/resp_{0:032x}?stream=true")
    assert (answer.status, answer.json()["error"]["param"]) == (400, "stream")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.sampled_from(["user", "input_text"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "content", "text"]), inner)
    ),
    max_leaves=10,
)
bodies = st.fixed_dictionaries(
    {"model": st.just("scripted"), "input": json_values},
    optional=dict.fromkeys(
        ("instructions", "previous_response_id", "store", "tools", "tool_choice", "text", "metadata"), json_values
    ),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies)
async def test_no_json_body_makes_the_router_fail(
    alice: Caller, upstream: ScriptedUpstream, body: dict[str, Any]
) -> None:
    answer = await alice.request("POST", "/v1/responses", json.dumps(body).encode())
    assert answer.status in (200, 400, 404)
    assert answer.status == 200 or answer.json()["error"]["param"]
