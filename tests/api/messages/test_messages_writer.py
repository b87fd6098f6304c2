"""Chat completions as answers of the Messages API."""

import json
from typing import Any

import pytest
from anthropic.types import Message as AnthropicMessage
from hypothesis import given
from hypothesis import strategies as st

from memrouter.api.messages.writer import Message, MessagesTranslation
from memrouter.errors import UpstreamError, UpstreamTimeout

from ..answers import DONE, HEADERS, JSON_HEADERS, call, chunk, completion, deltas, events_of, streamed, usage, whole


def translation(*, stream: bool = True, stops: tuple[str, ...] = ()) -> MessagesTranslation:
    return MessagesTranslation(Message("msg_1", "auto"), stream=stream, stops=stops, request_id="req_7")


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def read(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the message that a client puts together from events."""
    message: dict[str, Any] = events[0]["message"]
    partial: dict[int, str] = {}
    for event in events[1:]:
        if event["type"] == "content_block_start":
            assert event["index"] == len(message["content"])
            message["content"].append(event["content_block"])
        elif event["type"] == "content_block_delta":
            block, delta = message["content"][event["index"]], event["delta"]
            if delta["type"] == "input_json_delta":
                partial[event["index"]] = partial.get(event["index"], "") + delta["partial_json"]
            else:
                kind = delta["type"].removesuffix("_delta")
                block[kind] += delta[kind]
        elif event["type"] == "message_delta":
            message |= {**event["delta"], "usage": event["usage"]}
    for index, arguments in partial.items():
        message["content"][index]["input"] = json.loads(arguments)
    return message


TEXT = (chunk({"role": "assistant"}), chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk(finish="stop"), DONE)


def test_the_events_of_a_text_come_in_order() -> None:
    events = streamed(translation(), *TEXT)
    assert kinds(events) == [
        "message_start", "ping", "content_block_start", "content_block_delta", "content_block_delta",
        "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert events[0]["message"]["content"] == []
    assert events[0]["message"]["stop_reason"] is None
    assert read(events)["content"] == [{"type": "text", "text": "Hello"}]


def test_each_chunk_becomes_its_events_at_once() -> None:
    writer = translation()
    writer.start(200, HEADERS)
    assert [kinds(events_of(writer.feed(data))) for data in TEXT[1:3]] == [
        ["message_start", "ping", "content_block_start", "content_block_delta"],
        ["content_block_delta"],
    ]


def test_thinking_words_and_calls_are_blocks_of_their_own() -> None:
    said = (
        chunk({"reasoning_content": "hm"}), chunk({"content": "I look."}),
        call(0, '{"a"', name="weather", number="t1"), call(0, ":1}"), call(1, "{}", name="time", number="t2"),
        chunk(finish="tool_calls"), usage(), DONE,
    )  # fmt: skip
    message = read(streamed(translation(), *said))
    assert message["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"a": 1}},
        {"type": "tool_use", "id": "t2", "name": "time", "input": {}},
    ]
    assert message["stop_reason"] == "tool_use"
    assert message["usage"] == {
        "input_tokens": 6, "output_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"), ("length", "max_tokens"), ("tool_calls", "tool_use"), ("content_filter", "refusal"),
        ("odd", "end_turn"),
    ],
)  # fmt: skip
def test_reasons_to_stop_are_mapped(finish: str, reason: str) -> None:
    assert whole(translation(stream=False), completion({"content": "a"}, finish=finish))["stop_reason"] == reason


def test_a_stop_sequence_of_the_client_is_named() -> None:
    answer = whole(translation(stream=False, stops=("END",)), completion({"content": "a"}, stop_reason="END"))
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("stop_sequence", "END")
    other = whole(translation(stream=False, stops=("END",)), completion({"content": "a"}, stop_reason="</s>"))
    assert (other["stop_reason"], other["stop_sequence"]) == ("end_turn", None)


def test_a_refusal_is_text_and_the_reason_to_stop() -> None:
    answer = whole(translation(stream=False), completion({"refusal": "I won't."}))
    assert answer["content"] == [{"type": "text", "text": "I won't."}]
    assert answer["stop_reason"] == "refusal"


def test_a_whole_answer_is_the_message_alone() -> None:
    writer = translation(stream=False)
    answer = whole(writer, completion({"content": "Hello"}))
    AnthropicMessage.model_validate(answer)
    assert (answer["id"], answer["type"], answer["role"], answer["model"]) == ("msg_1", "message", "assistant", "m-1")
    assert writer.status == 200


def test_calls_without_an_id_get_one_that_no_other_message_has() -> None:
    message = {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}] * 2}
    answer = whole(translation(stream=False), completion(message, finish="tool_calls"))
    assert [block["id"] for block in answer["content"]] == ["toolu_1_0", "toolu_1_1"]


@pytest.mark.parametrize(("arguments", "read_as"), [("", {}), ("{", {"arguments": "{"}), ("[1]", {"arguments": [1]})])
def test_arguments_that_are_no_object_are_not_lost(arguments: str, read_as: dict[str, Any]) -> None:
    message = {"tool_calls": [{"id": "t", "function": {"name": "f", "arguments": arguments}}]}
    assert whole(translation(stream=False), completion(message))["content"][0]["input"] == read_as


def test_the_answer_names_the_request() -> None:
    headers = [*HEADERS, (b"request-id", b"of-the-backend")]
    assert (b"request-id", b"req_7") in translation().start(200, headers)
    assert (b"request-id", b"of-the-backend") not in translation().start(200, headers)


@pytest.mark.parametrize(
    ("status", "answered", "kind"),
    [
        (400, 400, "invalid_request_error"), (401, 401, "authentication_error"), (422, 422, "invalid_request_error"),
        (429, 429, "rate_limit_error"), (500, 500, "api_error"), (503, 529, "overloaded_error"),
        (529, 529, "overloaded_error"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [True, False])
def test_an_error_of_the_backend_has_anthropics_form(status: int, answered: int, kind: str, stream: bool) -> None:
    writer = translation(stream=stream)
    body = whole(writer, b'{"error": {"message": "no"}}', status=status)
    assert writer.status == answered
    assert body == {"type": "error", "error": {"type": kind, "message": "no"}, "request_id": "req_7"}


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("stream", [True, False])
def test_a_status_that_allows_no_body_is_a_bad_gateway(status: int, stream: bool) -> None:
    writer = translation(stream=stream)
    body = whole(writer, b"", status=status)
    assert writer.status == 502, "a client would read a body behind 204 as the next answer"
    assert body["error"] == {"type": "api_error", "message": f"the model server answered with status {status}"}


def test_a_body_that_is_no_answer_is_a_bad_gateway() -> None:
    writer = translation(stream=False)
    assert whole(writer, b"<html>")["error"]["type"] == "api_error"
    assert writer.status == 502


def test_an_error_in_the_middle_of_a_stream_is_an_event_and_the_end() -> None:
    failure = b'data: {"error": {"message": "out of memory"}}\n\n'
    events = streamed(translation(), chunk({"content": "Hel"}), failure, chunk({"content": "lo"}), DONE)
    assert kinds(events)[-2:] == ["content_block_stop", "error"]
    assert events[-1]["error"] == {"type": "api_error", "message": "out of memory"}


def test_a_stream_that_stops_short_ends_in_an_error() -> None:
    assert kinds(streamed(translation(), chunk({"content": "Hel"})))[-1] == "error"
    assert kinds(streamed(translation())) == ["error"]


@pytest.mark.parametrize(
    ("error", "status", "kind"), [(UpstreamError, 502, "api_error"), (UpstreamTimeout, 504, "timeout_error")]
)
def test_a_backend_that_breaks_off_is_told_without_its_name(error: type[UpstreamError], status: int, kind: str) -> None:
    told = error("10.0.0.7:8000 broke off")
    writer = translation()
    writer.start(200, HEADERS)
    writer.feed(chunk({"content": "Hel"}))
    last = events_of(writer.broken(told, request_id="req_7"))[-1]
    assert (last["type"], last["error"]["type"]) == ("error", kind)
    plain = translation(stream=False)
    plain.start(200, JSON_HEADERS)
    body = plain.broken(told, request_id="req_7")
    assert plain.status == status
    assert b"10.0.0.7" not in json.dumps(last).encode() + body


@given(st.lists(deltas, max_size=12), st.sampled_from(["stop", "length", "tool_calls", "odd"]))
def test_a_stream_and_a_whole_answer_say_the_same(said: list[dict[str, Any]], finish: str) -> None:
    chunks = [*map(chunk, said), chunk(finish=finish)]
    events = streamed(translation(), *chunks, DONE)
    whole_writer = translation(stream=False)
    whole_writer.start(200, HEADERS)
    for data in chunks:
        whole_writer.feed(data)
    answer = json.loads(whole_writer.end())
    if events[-1]["type"] == "error":
        assert answer["type"] == "error"
        return
    AnthropicMessage.model_validate(answer)
    blocks = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    assert [block["type"] for block in blocks] == [block["type"] for block in answer["content"]]
    for index, block in enumerate(answer["content"]):
        parts = [
            event["delta"] for event in events if event["type"] == "content_block_delta" and event["index"] == index
        ]
        if block["type"] != "tool_use":
            assert "".join(part[block["type"]] for part in parts) == block[block["type"]]
    assert kinds(events).count("content_block_stop") == len(blocks)
