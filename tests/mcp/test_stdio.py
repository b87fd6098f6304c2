"""Standard input as the event loop reads it."""

import asyncio

from memrouter.mcp.stdio import StdinLines


def reader(data: bytes, limit: int = 64) -> asyncio.StreamReader:
    made = asyncio.StreamReader(limit=limit)
    made.feed_data(data)
    made.feed_eof()
    return made


async def test_lines_come_whole_and_the_last_one_needs_no_end() -> None:
    lines = [line async for line in StdinLines(reader("ä 1\nb\n\nlast".encode()))]
    assert lines == ["ä 1\n", "b\n", "\n", "last"]


async def test_bytes_that_are_no_text_do_not_end_the_connection() -> None:
    assert [line async for line in StdinLines(reader(b"\xff\xfe\nb\n"))] == ["\ufffd\ufffd\n", "b\n"]


async def test_a_line_that_is_too_long_is_unreadable_and_the_next_one_is_read() -> None:
    lines = [line async for line in StdinLines(reader(b"x" * 200 + b"\n" + b"b\n"))]
    assert lines[-1] == "b\n"
    assert set(lines[:-1]) == {"\n"}
