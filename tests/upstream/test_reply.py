import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.models.turn import Reply
from memrouter.testing.upstream import completion_chunks
from memrouter.upstream.reply import READ_FROM_BYTES, ReplyReader

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "delta", "content", "text", "index", "tool_calls", "error", "type"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def read(body: bytes | dict[str, Any], *, stream: bool = False, step: int = 7, **limits: int) -> Reply:
    reader = ReplyReader(is_stream=stream, **limits)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    for start in range(0, len(raw), step):
        reader.feed(raw[start : start + step])
    return reader.reply(status=200, complete=True)


def message(**fields: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **fields}}]}


def events(*values: object) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)


def delta(index: int = 0, **fields: object) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields}]}


def test_text_of_a_completion_is_read() -> None:
    assert read(message(content="hi 😀")) == Reply("hi 😀", 200, complete=True)


def test_text_parts_are_joined() -> None:
    assert read(message(content=[{"type": "text", "text": "a"}, {"type": "image"}, {"text": "b"}])).text == "ab"


def test_only_the_first_choice_counts() -> None:
    choices = [{"index": 1, "message": {"content": "no"}}, {"index": 0, "message": {"content": "yes"}}]
    assert read({"choices": choices}).text == "yes"
    assert read(events(delta(1, content="no"), delta(0, content="yes")), stream=True).text == "yes"


def test_null_content_with_tool_calls_is_an_answer_without_text() -> None:
    reply = read(message(content=None, tool_calls=[{"id": "1", "function": {"name": "f"}}]))
    assert (reply.text, reply.tool_calls) == ("", True)


def test_an_old_function_call_counts_as_a_tool_call() -> None:
    assert read(message(content=None, function_call={"name": "f"})).tool_calls
    assert not read(message(content="a", function_call=None, tool_calls=[])).tool_calls


def test_deltas_of_a_stream_are_joined() -> None:
    stream = b": ping\n\n" + b"".join(completion_chunks("he", "l", "lo 😀"))
    assert read(stream, stream=True) == Reply("hello 😀", 200, complete=True)


def test_tool_calls_in_a_stream_are_seen() -> None:
    assert read(events(delta(content=None, tool_calls=[{"index": 0}])), stream=True).tool_calls


def test_an_error_in_the_stream_makes_the_answer_incomplete() -> None:
    assert not read(events(delta(content="a"), {"error": {"message": "out of memory"}}), stream=True).complete
    assert read(events({**delta(content="a"), "error": None}), stream=True).complete


def test_an_aborted_answer_is_not_complete() -> None:
    reader = ReplyReader(is_stream=True)
    reader.feed(events(delta(content="a")))
    assert reader.reply(status=200, complete=False) == Reply("a", 200, complete=False)


@pytest.mark.parametrize("stream", [False, True])
def test_text_is_cut_at_its_bound_at_a_character_border(stream: bool) -> None:
    body = events(*(delta(content="ää") for _ in range(9))) if stream else message(content="ä" * 18)
    assert read(body, stream=stream, max_text_bytes=9).text == "ääää"


def test_a_body_over_the_bound_is_neither_read_nor_kept() -> None:
    reader = ReplyReader(is_stream=False, max_json_bytes=100)
    for _ in range(10):
        reader.feed(b" " * 30)
    assert len(reader._body) == 0
    assert reader.reply(status=200, complete=True).text == ""


@pytest.mark.parametrize(
    ("kind", "asked", "is_stream"),
    [
        (b"text/event-stream; charset=utf-8", False, True),
        (b"Text/Event-Stream", True, True),
        (b"application/json; charset=utf-8", True, False),
        (b"application/json", False, False),
        (None, True, True),
        (None, False, False),
        (b"", True, True),
    ],
)
def test_content_type_decides_before_what_was_asked(kind: bytes | None, asked: bool, is_stream: bool) -> None:
    headers = [(b"date", b"x")] + ([] if kind is None else [(b"content-type", kind)])
    assert ReplyReader.for_headers(headers, stream=asked).is_stream == is_stream


@given(body=st.binary(max_size=200), stream=st.booleans(), step=st.integers(1, 50))
def test_any_bytes_are_survived(body: bytes, stream: bool, step: int) -> None:
    assert read(b"data: " + body, stream=stream, step=step).text == ""


@given(value=VALUES, stream=st.booleans())
def test_any_json_is_survived(value: object, stream: bool) -> None:
    raw = json.dumps(value).encode()
    assert isinstance(read(b"data: " + raw + b"\n\n" if stream else raw, stream=stream), Reply)


def test_deep_nesting_and_lone_surrogates_are_survived() -> None:
    for key in (b"choices", b"error", b"unknown"):
        deep = b'{"' + key + b'":' + b"[" * 100_000
        assert read(deep, step=4096).text == ""
        assert read(b"data: " + deep + b"\n\n", stream=True, step=4096).text == ""
    assert read(b'{"choices":[{"message":{"content":"\\ud800"}}]}').text == ""


@given(texts=st.lists(st.text(max_size=5), max_size=8), step=st.integers(1, 40))
def test_a_stream_gives_the_words_that_were_sent(texts: list[str], step: int) -> None:
    clean = [text.encode(errors="ignore").decode() for text in texts]
    assert read(b"".join(completion_chunks(*clean)), stream=True, step=step).text == "".join(clean)


def test_a_long_stream_is_read_in_parts_that_may_end_anywhere() -> None:
    pieces = [f"word{number} " for number in range(3_000)]
    body = events(*(delta(content=piece) for piece in pieces))
    assert len(body) > 3 * READ_FROM_BYTES
    assert read(body, stream=True, step=1_013).text == "".join(pieces)
