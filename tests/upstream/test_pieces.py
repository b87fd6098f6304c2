"""Answers of model servers as pieces, however they come."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.upstream import pieces
from memrouter.upstream.pieces import Failure, Finish, Model, Piece, PieceReader, ToolCall, Usage, Words

DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any] | None = None, **choice: Any) -> bytes:
    wire = {"model": "m", "choices": [{"index": 0, "delta": delta or {}, **choice}]}
    return b"data: " + json.dumps(wire).encode() + b"\n\n"


def call(index: object, arguments: str, *, name: str | None = None, number: str | None = None) -> bytes:
    return chunk({"tool_calls": [{"index": index, "id": number, "function": {"name": name, "arguments": arguments}}]})


def streamed(*chunks: bytes) -> list[Piece]:
    reader = PieceReader(status=200, is_stream=True)
    return [piece for data in chunks for piece in reader.feed(data)] + reader.end()


def whole(body: bytes, *, status: int = 200) -> list[Piece]:
    reader = PieceReader(status=status, is_stream=False)
    assert reader.feed(body) == []
    return reader.end()


def calls_of(said: Iterable[Piece]) -> list[tuple[str, str]]:
    found: dict[int, list[str]] = {}
    for piece in said:
        if isinstance(piece, ToolCall):
            name, arguments = found.setdefault(piece.index, ["", ""])
            found[piece.index] = [name or piece.name, arguments + piece.arguments]
    return [(name, arguments) for name, arguments in found.values()]


def test_a_stream_says_its_model_words_reason_and_usage() -> None:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 3}}\n\n'
    said = streamed(
        chunk({"role": "assistant"}),
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "Hi"}),
        chunk({"refusal": "no"}),
        chunk(finish_reason="stop", stop_reason="END"),
        usage,
        DONE,
    )
    assert said == [
        Model("m"),
        Words("reasoning", "hm"),
        Words("text", "Hi"),
        Words("refusal", "no"),
        Finish("stop", "END"),
        Usage({"prompt_tokens": 3}),
    ]


def test_a_plain_answer_says_the_same() -> None:
    choice = {"message": {"content": [{"type": "text", "text": "Hi"}]}, "finish_reason": "length"}
    assert whole(json.dumps({"choices": [choice]}).encode()) == [Words("text", "Hi"), Finish("length")]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_how_a_stream_is_cut_makes_no_difference(size: int) -> None:
    body = b"".join((chunk({"content": "Hällo "}), chunk({"content": "🎵"}), chunk(finish_reason="stop"), DONE))
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    assert streamed(*parts) == [Model("m"), Words("text", "Hällo "), Words("text", "🎵"), Finish("stop")]


def test_parts_of_calls_are_numbered_in_their_order() -> None:
    said = streamed(call(0, "{", name="a", number="1"), call(0, "}"), call(1, "[]", name="b", number="2"), DONE)
    assert calls_of(said) == [("a", "{}"), ("b", "[]")]


def test_calls_that_a_backend_numbers_alike_are_told_apart_by_their_ids() -> None:
    said = streamed(call(0, "{}", name="a", number="1"), call(0, "{}", name="b", number="2"), DONE)
    assert calls_of(said) == [("a", "{}"), ("b", "{}")]


def test_a_backend_that_repeats_the_id_of_a_call_is_understood() -> None:
    said = streamed(call(0, "{", name="a", number="1"), call(0, "}", name="a", number="1"), DONE)
    assert calls_of(said) == [("a", "{}")]


def test_calls_without_an_index_have_that_of_their_place() -> None:
    calls = [{"id": str(n), "function": {"name": f"f{n}", "arguments": "{}"}} for n in range(3)]
    said = whole(json.dumps({"choices": [{"message": {"tool_calls": calls}}]}).encode())
    assert calls_of(said) == [("f0", "{}"), ("f1", "{}"), ("f2", "{}")]


def test_parts_that_come_mixed_are_a_failure_and_no_wrong_call() -> None:
    said = streamed(call(0, "{", name="a", number="1"), call(1, "{", name="b", number="2"), call(0, "}"), DONE)
    assert any(isinstance(piece, Failure) and "mixed" in piece.message for piece in said)


def test_only_the_first_choice_is_read() -> None:
    body = {"choices": [{"index": 1, "message": {"content": "b"}}, {"index": 0, "message": {"content": "a"}}]}
    assert whole(json.dumps(body).encode()) == [Words("text", "a")]


def test_a_stream_that_ends_before_it_is_finished_is_a_failure() -> None:
    (failure,) = streamed(chunk({"content": "Hel"}))[2:]
    assert isinstance(failure, Failure)
    assert failure.status == 502


def test_a_stream_needs_either_a_reason_or_the_end_mark() -> None:
    assert not any(isinstance(piece, Failure) for piece in streamed(chunk({"content": "a"}), DONE))
    assert not any(isinstance(piece, Failure) for piece in streamed(chunk({"content": "a"}, finish_reason="stop")))


def test_an_error_in_a_stream_is_a_failure() -> None:
    failure = b'data: {"error": {"message": "out of memory", "type": "server_error"}}\n\n'
    assert streamed(failure) == [Failure(200, "out of memory", "server_error")]


@pytest.mark.parametrize(
    ("body", "message", "kind"),
    [
        (b'{"error": {"message": "too long", "code": "context"}}', "too long", "context"),
        (b'{"error": "overloaded"}', "overloaded", ""),
        (b'{"error": {}}', "the model server failed", ""),
        (b'{"object": "error", "message": "bad field", "type": "BadRequest"}', "bad field", "BadRequest"),
        (b"<html>", "the model server answered with status 400", ""),
        (b"", "the model server answered with status 400", ""),
    ],
)
def test_an_error_of_the_backend_keeps_its_words(body: bytes, message: str, kind: str) -> None:
    assert whole(body, status=400) == [Failure(400, message, kind)]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"choices": []}', b'{"model": "m"}', b"\xff"])
def test_an_answer_that_is_no_completion_is_a_failure(body: bytes) -> None:
    (failure,) = whole(body)
    assert isinstance(failure, Failure)
    assert failure.status == 502


def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "MAX_BODY_BYTES", 100)
    (failure,) = whole(json.dumps({"choices": [{"message": {"content": "x" * 100}}]}).encode())
    assert isinstance(failure, Failure)
    said = streamed(*[chunk({"content": "x" * 30})] * 5, DONE)
    assert sum(isinstance(piece, Words) for piece in said) == 3
    assert isinstance(said[-1], Failure)


def test_an_event_that_is_too_large_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "MAX_EVENT_BYTES", 100)
    said = streamed(chunk({"content": "x" * 100}), DONE)
    assert isinstance(said[-1], Failure)


KEYS = [
    *("choices", "delta", "message", "content", "tool_calls", "function", "index", "id", "error", "usage", "model"),
    *("text", "name", "arguments", "finish_reason", "stop_reason", "reasoning_content"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(json_values, max_size=4), st.sampled_from([200, 400, 500]), st.booleans())
def test_nothing_that_a_backend_sends_makes_it_raise(values: list[Any], status: int, is_stream: bool) -> None:
    reader = PieceReader(status=status, is_stream=is_stream)
    for value in values:
        body = json.dumps(value).encode()
        reader.feed(b"data: " + body + b"\n\n" if is_stream else body)
    reader.end()


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_make_it_raise(body: bytes, is_stream: bool) -> None:
    reader = PieceReader(status=200, is_stream=is_stream)
    reader.feed(body)
    assert isinstance(reader.end(), list)
