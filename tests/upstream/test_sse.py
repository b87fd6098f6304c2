import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.upstream.sse import Event, SseParser

PIECES = st.sampled_from(
    [
        *(
            b"data: a\r\n",
            b"data: b\r",
            b"data: c\n",
            b"data: a",
            b"data:b",
            b"data",
            b":c",
            b": keep-alive",
            b"event: x",
            b"id: 1",
            b"id: \0",
            b"id",
        ),
        *(b"retry: 10", b"retry: x", b"\r", b"\n", b"\r\n", b"\n\n", b"\xef\xbb\xbf", "data: é😀".encode()),
        *(b"\xf0\x9f", b"\xff", b"unknown: z", b"data: " + b"y" * 40),
    ]
)
STREAMS = st.lists(PIECES | st.binary(max_size=6), max_size=30).map(b"".join)


def read(*pieces: bytes, limit: int = 1024) -> tuple[list[Event], int, int | None]:
    parser = SseParser(max_event_bytes=limit)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events, parser.dropped, parser.retry


def data(stream: bytes) -> list[str]:
    return [event.data for event in read(stream)[0]]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_all_line_ends_are_understood(end: bytes) -> None:
    assert data(end.join([b"data: a", b"data: b", b"", b"data: c", b"", b""])) == ["a\nb", "c"]


def test_a_line_end_cut_in_two_is_one_line_end() -> None:
    assert read(b"data: a\r", b"", b"\ndata: b\r", b"\n\r", b"\n")[0] == [Event("a\nb")]
    assert read(b"data: a\r", b"\r", b"data: b\n", b"\n")[0] == [Event("a"), Event("b")]


def test_events_carry_type_and_last_id() -> None:
    stream = b"id: 7\nevent: add\ndata: x\n\ndata: y\n\nid\ndata: z\n\n"
    assert read(stream)[0] == [Event("x", "add", "7"), Event("y", "message", "7"), Event("z", "message", "")]


def test_only_the_first_blank_behind_the_colon_is_dropped() -> None:
    assert data(b"data:  a\n\ndata:b\n\n") == [" a", "b"]


def test_an_empty_data_line_makes_an_event_and_none_makes_no_event() -> None:
    assert data(b"data\n\ndata\ndata\n\nevent: x\n\n\n") == ["", "\n"]


def test_comments_and_unknown_fields_are_skipped() -> None:
    assert data(b": ping\n\n:\nfoo: bar\ndata: a\nData: b\n\n") == ["a"]


def test_a_byte_order_mark_is_skipped_at_the_start_only() -> None:
    assert data(b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n") == ["a"]


def test_an_event_without_its_empty_line_is_not_dispatched() -> None:
    assert data(b"data: a\n\ndata: b\n") == ["a"]


def test_bad_utf8_is_replaced() -> None:
    assert data(b"data: a\xffb\xf0\x9f\n\n") == ["a\ufffdb\ufffd"]


def test_an_id_with_nul_and_a_strange_retry_are_ignored() -> None:
    stream = b"id: a\0b\nretry: 250\nretry: -5\nretry: " + b"9" * 5000 + b"\ndata: x\n\n"
    assert read(stream, limit=10_000) == ([Event("x")], 0, 250)


@pytest.mark.parametrize(
    "long",
    [b"data: " + b"x" * 60 + b"\ndata: y\ndata: z", b"data: 123456789\n" * 20, b"event: " + b"x" * 60, b":" * 60],
)
def test_an_oversized_event_is_dropped_and_the_next_one_is_read(long: bytes) -> None:
    events, dropped, _ = read(b"data: a\n" + long + b"\n\ndata: b\n\n", limit=50)
    assert [event.data for event in events] == ["b"]
    assert dropped == 1


def test_many_comments_do_not_use_up_the_limit_of_an_event() -> None:
    assert read(b": ping\n" * 100 + b"data: a\n\n", limit=50)[:2] == ([Event("a")], 0)


def test_an_endless_line_is_not_buffered() -> None:
    parser = SseParser(max_event_bytes=1000)
    for _ in range(100):
        assert parser.feed(b"data: " + b"x" * 500) == []
    assert len(parser._line) <= 1000


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 200), max_size=10), limit=st.sampled_from([10, 30, 1024]))
def test_how_the_stream_is_cut_makes_no_difference(stream: bytes, cuts: list[int], limit: int) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert read(*pieces, limit=limit) == read(stream, limit=limit)


@given(stream=STREAMS, limit=st.sampled_from([10, 1024]))
def test_byte_by_byte_is_the_same_as_at_once(stream: bytes, limit: int) -> None:
    assert read(*(stream[i : i + 1] for i in range(len(stream))), limit=limit) == read(stream, limit=limit)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_what_is_written_as_data_lines_is_read_back(lines: list[str]) -> None:
    stream = "".join(f"data: {line}\n" for line in lines).encode() + b"\n"
    assert data(stream) == ["\n".join(lines)]
