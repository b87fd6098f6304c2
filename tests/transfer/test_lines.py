"""Bytes become lines of bounded length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import DamagedData
from memrouter.transfer.lines import LineSplitter


@given(st.lists(st.binary(max_size=12).map(lambda part: part.replace(b"x", b"\n"))))
def test_lines_do_not_depend_on_the_chunks(chunks: list[bytes]) -> None:
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + list(splitter.rest())
    assert lines == b"".join(chunks).splitlines(keepends=True) or b"\r" in b"".join(chunks)
    assert b"".join(lines) == b"".join(chunks)
    assert splitter.number == len(lines)


def split(splitter: LineSplitter, data: bytes, chunk: int, lines: list[bytes]) -> None:
    for start in range(0, len(data), chunk):
        for line in splitter.feed(data[start : start + chunk]):
            lines.append(line)  # noqa: PERF402 - those before the error count


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_a_line_over_the_limit_is_named_after_those_before_it(chunk: int) -> None:
    lines: list[bytes] = []
    with pytest.raises(DamagedData, match="line 2: it is longer than 10 bytes"):
        split(LineSplitter(limit=10), b"123456789\n" + b"1234567890\n", chunk, lines)
    assert lines == [b"123456789\n"]


def test_an_endless_line_is_refused_before_it_is_kept() -> None:
    lines: list[bytes] = []
    with pytest.raises(DamagedData, match="line 1"):
        split(LineSplitter(limit=1000), b"x" * 1_000_000, 100, lines)
    assert lines == []
