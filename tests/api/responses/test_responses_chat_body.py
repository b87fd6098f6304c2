"""Requests to /v1/responses as chat requests."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.api.responses.chat_body import ResponsesRequest, chat_body
from memrouter.api.responses.items import items_of
from memrouter.errors import InvalidRequest
from memrouter.models.chat import ChatRequest

TOOL = {"type": "function", "name": "weather", "description": "d", "parameters": {"type": "object"}, "strict": True}


def asked(**fields: Any) -> ResponsesRequest:
    return ResponsesRequest.parse(json.dumps({"model": "auto", "input": "hi", **fields}).encode())


def chat_of(**fields: Any) -> dict[str, Any]:
    request = asked(**fields)
    body: dict[str, Any] = json.loads(chat_body(request, items_of(request.fields["input"])))
    return body


def test_a_plain_request_becomes_a_plain_chat_request() -> None:
    assert chat_of() == {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}


def test_instructions_stand_in_front_of_the_chain() -> None:
    request = asked(instructions="Be brief.")
    history = items_of([{"role": "user", "content": "before"}])
    messages = json.loads(chat_body(request, items_of("hi"), history=history))["messages"]
    assert [message["content"] for message in messages] == ["Be brief.", "before", "hi"]
    assert messages[0]["role"] == "system"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_output_tokens": 7}, {"max_completion_tokens": 7}),
        ({"temperature": 0, "top_p": 0.5}, {"temperature": 0, "top_p": 0.5}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
        ({"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"user": "ada", "service_tier": "flex", "seed": 1}, {"user": "ada", "service_tier": "flex", "seed": 1}),
        ({"tool_choice": "required"}, {"tool_choice": "required"}),
        (
            {"tool_choice": {"type": "function", "name": "f"}},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
        ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}}},
        ),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        (
            {"store": True, "metadata": {"a": "b"}, "auto_store": True, "memory_config": {}, "truncation": "auto"},
            {},
        ),
        ({"include": ["x"], "background": False, "conversation": None, "messages": [], "conversation_id": "c"}, {}),
    ],
)
def test_fields_map_to_those_of_chat_completions(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    body = chat_of(**fields)
    assert {name: value for name, value in body.items() if name not in ("model", "messages")} == expected


def test_function_tools_are_wrapped() -> None:
    (tool,) = chat_of(tools=[TOOL])["tools"]
    assert tool == {"type": "function", "function": {name: value for name, value in TOOL.items() if name != "type"}}


def test_defaults_are_those_of_the_api() -> None:
    request = asked()
    assert (request.store, request.stream, request.previous, request.auto_store) == (True, False, None, None)
    assert asked(store=None, stream=None, auto_store=False, previous_response_id="").previous is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "reasoning"}]}, "input"),
        ({"instructions": 7}, "instructions"),
        ({"previous_response_id": 7}, "previous_response_id"),
        ({"store": "yes"}, "store"),
        ({"stream": 1}, "stream"),
        ({"auto_store": "true"}, "auto_store"),
        ({"user": {}}, "user"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"tools": {}}, "tools"),
        ({"tools": [7]}, "tools[0]"),
        ({"tools": [TOOL, {"type": "web_search"}]}, "tools[1].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": "always"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tool_choice": ["auto"]}, "tool_choice"),
        ({"max_output_tokens": "7"}, "max_output_tokens"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"top_logprobs": "x"}, "top_logprobs"),
        ({"reasoning": "low"}, "reasoning"),
        ({"reasoning": {"effort": 7}}, "reasoning.effort"),
        ({"text": "json"}, "text"),
        ({"text": {"format": "json"}}, "text.format"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
        ({"text": {"verbosity": 7}}, "text.verbosity"),
        ({"truncation": "some"}, "truncation"),
        ({"truncation": {}}, "truncation"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
    ],
)
def test_a_wrong_field_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        chat_of(**fields)
    assert refused.value.param == param


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = [
    *("input", "instructions", "previous_response_id", "store", "stream", "tools", "tool_choice", "text", "reasoning"),
    *("max_output_tokens", "metadata", "truncation", "temperature", "user", "x"),
]


@given(st.dictionaries(st.sampled_from(names), json_values, max_size=5))
def test_any_body_becomes_a_chat_request_or_is_refused_by_name(fields: dict[str, Any]) -> None:
    param: str | None = "none"
    try:
        request = asked(**fields)
        ChatRequest.parse(chat_body(request, items_of(request.fields["input"])))
    except InvalidRequest as error:
        param = error.param
    assert param
