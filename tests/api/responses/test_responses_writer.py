"""Chat completions as answers of the Responses API."""

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from memrouter.api.responses.chat_body import ResponsesRequest
from memrouter.api.responses.reply import Answer
from memrouter.api.responses.writer import ResponsesTranslation
from memrouter.errors import UpstreamError, UpstreamTimeout

from ..answers import DONE, HEADERS, JSON_HEADERS, call, chunk, completion, deltas, events_of, streamed, usage, whole


def translation(*, stream: bool = True, **fields: Any) -> ResponsesTranslation:
    body = {"model": "auto", "input": "hi", "stream": stream, **fields}
    numbers = count(1)
    request = ResponsesRequest.parse(json.dumps(body).encode())
    return ResponsesTranslation(Answer(request, "resp_1", 1000, lambda kind: f"{kind}_{next(numbers)}"))


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


TEXT = (chunk({"role": "assistant"}), chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk(finish="stop"), DONE)


def test_the_events_of_a_text_come_in_order() -> None:
    events = streamed(translation(), *TEXT)
    assert kinds(events) == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert [event["sequence_number"] for event in events] == list(range(10))
    assert [event["delta"] for event in events if event["type"].endswith(".delta")] == ["Hel", "lo"]
    assert {event["item_id"] for event in events if "item_id" in event} == {"msg_1"}
    assert events[0]["response"]["status"] == events[1]["response"]["status"] == "in_progress"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Hello"


def test_each_chunk_becomes_its_events_at_once() -> None:
    writer = translation()
    writer.start(200, HEADERS)
    written = [kinds(events_of(writer.feed(data))) for data in TEXT]
    assert written[:3] == [
        ["created", "in_progress"],
        ["output_item.added", "content_part.added", "output_text.delta"],
        ["output_text.delta"],
    ]


def test_thinking_words_and_calls_are_items_of_their_own() -> None:
    events = streamed(
        translation(),
        chunk({"reasoning_content": "hm"}), chunk({"content": "I look."}),
        call(0, '{"a"', name="weather", number="c1"), call(0, ":1}"), call(1, "{}", name="time", number="c2"),
        chunk(finish="tool_calls"), usage(), DONE,
    )  # fmt: skip
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call", "function_call"]
    assert output[0]["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert [(item["call_id"], item["name"], item["arguments"]) for item in output[2:]] == [
        ("c1", "weather", '{"a":1}'),
        ("c2", "time", "{}"),
    ]
    assert [event["output_index"] for event in events if event["type"] == "response.output_item.done"] == [0, 1, 2, 3]
    arguments = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    assert [event["arguments"] for event in arguments] == ['{"a":1}', "{}"]


def test_a_refusal_is_a_part_of_its_own() -> None:
    events = streamed(translation(), chunk({"refusal": "I "}), chunk({"refusal": "won't"}), chunk(finish="stop"))
    assert "refusal.delta" in kinds(events)
    assert "refusal.done" in kinds(events)
    assert events[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "I won't"}]


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_is_incomplete(finish: str, reason: str) -> None:
    last = streamed(translation(), chunk({"content": "Hel"}), chunk(finish=finish), DONE)[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": reason}
    assert last["response"]["output"][0]["status"] == "incomplete"


def test_usage_is_mapped() -> None:
    assert streamed(translation(), *TEXT[:-1], usage(), DONE)[-1]["response"]["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    }


def test_a_whole_answer_is_the_object_alone() -> None:
    fields = {"metadata": {"a": "b"}, "temperature": 0.5, "instructions": "Be brief.", "tools": [], "user": "ada"}
    writer = translation(stream=False, **fields)
    answer = whole(writer, completion({"content": "Hello"}))
    assert writer.status == 200
    Response.model_validate(answer)
    assert (answer["id"], answer["object"], answer["status"], answer["model"]) == (
        "resp_1", "response", "completed", "m-1",
    )  # fmt: skip
    assert answer["output_text"] == "Hello"
    assert {name: answer[name] for name in fields} == fields
    assert (answer["error"], answer["incomplete_details"], answer["previous_response_id"]) == (None, None, None)


def test_headers_of_the_backend_stay_but_for_those_of_its_body() -> None:
    kept = translation().start(200, HEADERS)
    assert kept == [(b"x-of-backend", b"kept"), (b"content-type", b"text/event-stream; charset=utf-8")]
    assert translation(stream=False).start(200, HEADERS)[-1] == (b"content-type", b"application/json")


def test_an_answer_that_is_not_streamed_waits_for_its_status() -> None:
    assert translation(stream=False).waits
    assert not translation().waits
    refused = translation()
    refused.start(429, JSON_HEADERS)
    assert refused.waits


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_that_allows_no_body_is_a_bad_gateway(status: int) -> None:
    writer = translation(stream=False)
    body = whole(writer, b"", status=status)
    assert writer.status == 502, "a client would read a body behind 204 as the next answer"
    assert body["error"]["message"] == f"the model server answered with status {status}"


@pytest.mark.parametrize("stream", [True, False])
def test_an_error_of_the_backend_keeps_its_status_and_words(stream: bool) -> None:
    writer = translation(stream=stream)
    body = whole(writer, b'{"error": {"message": "slow down", "type": "rate_limit_error"}}', status=429)
    assert writer.status == 429
    assert body == {
        "error": {
            "message": "slow down",
            "type": "rate_limit_error",
            "code": "rate_limit_exceeded",
            "param": None,
        }
    }


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"error": {"message": "no"}}'])
def test_a_body_that_is_no_answer_is_a_bad_gateway(body: bytes) -> None:
    writer = translation(stream=False)
    assert "error" in whole(writer, body)
    assert writer.status == 502
    assert writer.failure is not None


def test_an_error_in_the_middle_of_a_stream_fails_the_response() -> None:
    failure = b'data: {"error": {"message": "out of memory"}}\n\n'
    events = streamed(translation(), chunk({"content": "Hel"}), failure, chunk({"content": "lo"}), DONE)
    assert kinds(events)[-3:] == ["content_part.done", "output_item.done", "failed"]
    assert events[-1]["response"]["error"] == {"code": "server_error", "message": "out of memory"}
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"


def test_a_stream_that_stops_short_fails_the_response() -> None:
    assert kinds(streamed(translation(), chunk({"content": "Hel"})))[-1] == "failed"
    assert kinds(streamed(translation())) == ["created", "in_progress", "failed"]


@pytest.mark.parametrize(("error", "status"), [(UpstreamError, 502), (UpstreamTimeout, 504)])
def test_a_backend_that_breaks_off_is_told_without_its_name(error: type[UpstreamError], status: int) -> None:
    told = error("10.0.0.7:8000 broke off")
    writer = translation()
    writer.start(200, HEADERS)
    writer.feed(chunk({"content": "Hel"}))
    last = events_of(writer.broken(told, request_id="req_7"))[-1]
    assert last["type"] == "response.failed"
    assert "req_7" in last["response"]["error"]["message"]
    plain = translation(stream=False)
    plain.start(200, JSON_HEADERS)
    body = plain.broken(told, request_id="req_7")
    assert plain.status == status
    assert b"req_7" in body
    assert b"10.0.0.7" not in json.dumps(last).encode() + body


def test_a_backend_that_does_not_stream_gives_the_same_events_at_the_end() -> None:
    writer = translation()
    writer.start(200, JSON_HEADERS)
    assert writer.feed(completion({"content": "Hello"})) == b""
    assert kinds(events_of(writer.end()))[-1] == "completed"


@given(st.lists(deltas, max_size=12), st.sampled_from([None, "stop", "length", "tool_calls", "odd"]))
def test_events_add_up_to_the_answer_whatever_is_said(said: list[dict[str, Any]], finish: str | None) -> None:
    events = streamed(translation(), *map(chunk, said), chunk(finish=finish), DONE)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    answer = events[-1]["response"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert answer["output"] == done
    assert sum(event["type"] == "response.output_item.added" for event in events) == len(done)
    for index, item in enumerate(done):
        parts = [event for event in events if event.get("output_index") == index and event["type"].endswith(".delta")]
        text = "".join(event["delta"] for event in parts)
        if item["type"] == "function_call":
            assert item["arguments"] == text
        else:
            assert "".join(part.get("text", part.get("refusal", "")) for part in item["content"]) == text
    if answer["status"] != "failed":
        Response.model_validate(answer)
