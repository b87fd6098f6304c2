"""Requests to /v1/messages as chat requests."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.api.messages.chat_body import MessagesRequest, chat_body
from memrouter.errors import InvalidRequest
from memrouter.models.chat import ChatRequest

USE = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Graz"}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "rain"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
IMAGE_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def asked(**fields: Any) -> MessagesRequest:
    plain = {"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return MessagesRequest.parse(json.dumps({**plain, **fields}).encode())


def chat_of(**fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(chat_body(asked(**fields)))
    return body


def said(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chat_of(messages=list(messages))["messages"]
    return found


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def test_a_plain_request_becomes_a_plain_chat_request() -> None:
    assert chat_of() == {
        "model": "auto", "messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 9,
    }  # fmt: skip


@pytest.mark.parametrize("system", ["Be\nbrief.", [text("Be"), {**text("brief."), "cache_control": {}}]])
def test_the_system_prompt_is_the_first_message(system: Any) -> None:
    assert chat_of(system=system)["messages"][0] == {"role": "system", "content": "Be\nbrief."}


@pytest.mark.parametrize("system", [None, "", []])
def test_an_empty_system_prompt_is_none(system: Any) -> None:
    assert [message["role"] for message in chat_of(system=system)["messages"]] == ["user"]


def test_blocks_of_a_user_become_text_or_parts() -> None:
    by_url = {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}}
    note = {"type": "document", "title": "Note", "source": {"type": "text", "media_type": "text/plain", "data": "abc"}}
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}}
    assert said(user(text("a"), text("b"))) == [{"role": "user", "content": "a\nb"}]
    assert said(user(text("look"), IMAGE, by_url, note, pdf))[0]["content"] == [
        text("look"),
        IMAGE_PART,
        {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
        text("Note\nabc"),
        {"type": "file", "file": {"filename": "document", "file_data": "data:application/pdf;base64,AA=="}},
    ]


def test_a_round_of_tools_keeps_its_order() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": ""}
    hidden = {"type": "redacted_thinking", "data": "x"}
    second = {**USE, "id": "t2"}
    asked_for, called, first, other, last = said(
        {"role": "user", "content": "rain?"},
        assistant(thinking, hidden, text("I look."), USE, second),
        user(text("and?"), RESULT, {**RESULT, "tool_use_id": "t2", "is_error": True}),
    )
    assert asked_for == {"role": "user", "content": "rain?"}
    assert called["content"] == "I look."
    assert [call["id"] for call in called["tool_calls"]] == ["t1", "t2"]
    assert called["tool_calls"][0]["function"]["name"] == "weather"
    assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == {"city": "Graz"}
    assert first == {"role": "tool", "tool_call_id": "t1", "content": "rain"}
    assert other == {"role": "tool", "tool_call_id": "t2", "content": "Error: rain"}
    assert last == {"role": "user", "content": "and?"}


def test_calls_without_words_have_no_content() -> None:
    assert said(user(text("a")), assistant(USE), user(RESULT))[1]["content"] is None


def test_images_of_a_result_follow_in_a_message_of_the_user() -> None:
    result = {**RESULT, "content": [text("see"), IMAGE]}
    tool, message = said(user(text("a")), assistant(USE), user(result))[2:]
    assert tool == {"role": "tool", "tool_call_id": "t1", "content": "see"}
    assert message == {"role": "user", "content": [IMAGE_PART]}


def test_a_result_may_be_empty() -> None:
    assert said(assistant(USE), user({"type": "tool_result", "tool_use_id": "t1"}))[1]["content"] == ""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"temperature": 0, "top_p": 0.5, "top_k": 3}, {"temperature": 0, "top_p": 0.5, "top_k": 3}),
        ({"stop_sequences": ["END"]}, {"stop": ["END"]}),
        ({"stop_sequences": []}, {}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"tool_choice": {"type": "auto"}}, {"tool_choice": "auto"}),
        ({"tool_choice": {"type": "any"}}, {"tool_choice": "required"}),
        ({"tool_choice": {"type": "none"}}, {"tool_choice": "none"}),
        (
            {"tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
        ),
        ({"output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "output", "schema": {"type": "object"}},
                }
            },
        ),
        ({"metadata": {"user_id": "mallory"}, "thinking": {"type": "enabled"}, "service_tier": "auto", "x": 1}, {}),
    ],
)
def test_fields_map_to_those_of_chat_completions(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    body = chat_of(**fields)
    rest = {name: value for name, value in body.items() if name not in ("model", "messages", "max_completion_tokens")}
    assert rest == expected


def test_tools_become_functions() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [{"name": "weather", "description": "d", "input_schema": schema}, {"type": "custom", "name": "now"}]
    assert chat_of(tools=tools)["tools"] == [
        {"type": "function", "function": {"name": "weather", "description": "d", "parameters": schema}},
        {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
    ]


def test_counting_needs_no_max_tokens() -> None:
    body = b'{"model": "auto", "messages": [{"role": "user", "content": "hi"}]}'
    assert MessagesRequest.parse(body, counting=True).model == "auto"
    with pytest.raises(InvalidRequest, match="max_tokens"):
        MessagesRequest.parse(body)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 7}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [7]}, "messages.0.role"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": {}}]}, "messages.0.content"),
        ({"messages": [user(7)]}, "messages.0.content.0.type"),
        ({"messages": [user({})]}, "messages.0.content.0.type"),
        ({"messages": [user({"type": []})]}, "messages.0.content.0.type"),
        ({"messages": [user({"type": "text"})]}, "messages.0.content.0.text"),
        ({"messages": [user(USE)]}, "messages.0.content.0.type"),
        ({"messages": [user({"type": "web_search_tool_result"})]}, "messages.0.content.0.type"),
        ({"messages": [user({"type": "image", "source": {"type": "file", "file_id": "f"}})]},
         "messages.0.content.0.source.type"),
        ({"messages": [user({"type": "image"})]}, "messages.0.content.0.source.type"),
        ({"messages": [user({"type": "image", "source": {"type": "base64", "data": "AA=="}})]},
         "messages.0.content.0.source.media_type"),
        ({"messages": [user({"type": "document", "source": {"type": "url", "url": "x"}})]},
         "messages.0.content.0.source.type"),
        ({"messages": [assistant(IMAGE)]}, "messages.0.content.0.type"),
        ({"messages": [assistant({**USE, "id": 7})]}, "messages.0.content.0.id"),
        ({"messages": [assistant({**USE, "input": "x"})]}, "messages.0.content.0.input"),
        ({"messages": [user({**RESULT, "tool_use_id": None})]}, "messages.0.content.0.tool_use_id"),
        ({"messages": [user({**RESULT, "content": 7})]}, "messages.0.content.0.content"),
        ({"messages": [user({**RESULT, "content": [USE]})]}, "messages.0.content.0.content.0.type"),
        ({"messages": [user({**RESULT, "is_error": "no"})]}, "messages.0.content.0.is_error"),
        ({"system": 7}, "system"),
        ({"system": [IMAGE]}, "system.0.type"),
        ({"system": ["x"]}, "system.0.type"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"stop_sequences": ["END", 7]}, "stop_sequences.1"),
        ({"stream": "yes"}, "stream"),
        ({"tools": {}}, "tools"),
        ({"tools": [7]}, "tools.0"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"),
        ({"tools": [{"input_schema": {}}]}, "tools.0.name"),
        ({"tools": [{"name": "f", "input_schema": []}]}, "tools.0.input_schema"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": 1}}, "tool_choice.disable_parallel_tool_use"),
        ({"mcp_servers": [{"url": "https://x"}]}, "mcp_servers"),
        ({"output_config": {"effort": 7}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml", "schema": {}}}}, "output_config.format"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        chat_of(**fields)
    assert refused.value.param == param


words = st.text(max_size=10)
user_blocks = st.one_of(st.builds(text, words), st.just(IMAGE), st.just(RESULT))
assistant_blocks = st.one_of(st.builds(text, words), st.just(USE), st.just({"type": "thinking", "thinking": "hm"}))
conversations = st.lists(
    st.one_of(
        st.builds(lambda blocks: user(*blocks), st.lists(user_blocks, min_size=1, max_size=4)),
        st.builds(lambda blocks: assistant(*blocks), st.lists(assistant_blocks, min_size=1, max_size=4)),
    ),
    min_size=1,
    max_size=6,
)


@given(conversations)
def test_every_block_is_accounted_for(conversation: list[dict[str, Any]]) -> None:
    messages = said(*conversation)
    blocks = [block for message in conversation for block in message["content"]]
    assert sum(message["role"] == "tool" for message in messages) == sum(block is RESULT for block in blocks)
    assert sum(len(message.get("tool_calls", ())) for message in messages) == sum(block is USE for block in blocks)
    parts = [part for message in messages if isinstance(message["content"], list) for part in message["content"]]
    assert parts.count(IMAGE_PART) == sum(block is IMAGE for block in blocks)
    for block in blocks:
        if block["type"] == "text":
            assert any(
                block["text"] in (part.get("text", "") if isinstance(part, dict) else part)
                for message in messages
                for part in (message["content"] if isinstance(message["content"], list) else [message["content"] or ""])
            )


@given(st.lists(st.sampled_from(["user", "assistant"]), min_size=1, max_size=8))
def test_roles_keep_their_order(roles: list[str]) -> None:
    assert [message["role"] for message in said(*({"role": role, "content": "x"} for role in roles))] == roles


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["user", "text", "image", "tool_use", "base64", "any"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "text", "source", "name", "id", "input"]), inner)
    ),
    max_leaves=12,
)
names = ["messages", "system", "tools", "tool_choice", "stop_sequences", "stream", "temperature", "output_config", "x"]


@given(st.dictionaries(st.sampled_from(names), json_values, max_size=4))
def test_any_body_becomes_a_chat_request_or_is_refused_by_name(fields: dict[str, Any]) -> None:
    param: str | None = "none"
    try:
        ChatRequest.parse(chat_body(asked(**fields)))
    except InvalidRequest as error:
        param = error.param
    assert param
