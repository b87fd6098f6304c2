"""Requests and answers on the wire, whatever the server does with it."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memrouter.upstream.connection import (
    MAX_HEAD_BYTES,
    MAX_WAITING_BYTES,
    PIECE_BYTES,
    Connection,
    ConnectionBroken,
    request_head,
)

HEAD = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nA: 1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: 1\r\n\r\n"
COUNTED = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\nabcde"
UNCOUNTED = b"HTTP/1.1 200 OK\r\n\r\nabcde"
INTERIM = b"HTTP/1.1 100 Continue\r\nB: 2\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def connected(play: Play) -> AsyncIterator[Connection]:
    """Give a connection to a server that does as ``play`` says, and then closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await play(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, *server.sockets[0].getsockname())
        try:
            yield connection
        finally:
            connection.close()
            await asyncio.sleep(0)


def answers(*pieces: bytes) -> Play:
    """Return a server that sends these bytes for a request, each piece once the one before it has left."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        await writer.drain()

    return play


async def ask(connection: Connection, *, silence: float = 5) -> bytes:
    await connection.ask(HEAD, b"{}", silence=silence)
    pieces = []
    while piece := await connection.read():
        pieces.append(piece)
    return b"".join(pieces)


@settings(max_examples=60, deadline=None)
@given(
    answer=st.sampled_from([CHUNKED, COUNTED, UNCOUNTED]),
    interim=st.sampled_from([b"", INTERIM]),
    cuts=st.sets(st.integers(1, 200), max_size=6),
)
def test_however_an_answer_is_framed_and_cut_its_body_is_the_same(
    answer: bytes, interim: bytes, cuts: set[int]
) -> None:
    whole = interim + answer
    places = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    pieces = [whole[first:last] for first, last in itertools.pairwise(places)]

    async def run() -> tuple[int, bytes, list[bytes]]:
        async with connected(answers(*pieces)) as connection:
            body = await ask(connection)
            return connection.status, body, [name for name, _ in connection.headers]

    status, body, names = asyncio.run(run())
    assert (status, body) == (201 if answer is COUNTED else 200, b"abcde")
    assert names == {CHUNKED: [b"A", b"transfer-encoding"], COUNTED: [b"content-length"], UNCOUNTED: []}[answer]


@settings(max_examples=60, deadline=None)
@given(noise=st.binary(max_size=60) | st.binary(max_size=60).map(lambda rest: b"HTTP/1.1 200 OK\r\n" + rest))
def test_whatever_a_server_sends_ends_in_an_answer_or_in_an_error(noise: bytes) -> None:
    async def run() -> None:
        async with connected(answers(noise)) as connection:
            with contextlib.suppress(ConnectionBroken):
                await ask(connection)
            assert not connection.reusable or connection.complete

    asyncio.run(run())


@pytest.mark.parametrize(
    "cut",
    [
        CHUNKED[:-3],
        CHUNKED[:-20],
        CHUNKED[:-20].replace(b"chunked", b"chunked "),
        COUNTED[:-1],
        b"HTTP/1.1 200 OK\r\na",
    ],
)
async def test_an_answer_that_stops_short_is_broken_off(cut: bytes) -> None:
    async with connected(answers(cut)) as connection:
        with pytest.raises(ConnectionBroken, match="closed the connection"):
            await ask(connection)
        assert not connection.reusable


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_ends_with_its_headers(status: int) -> None:
    hold = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(HEAD) + 2)
        writer.write(b"HTTP/1.1 %d X\r\n\r\n" % status)
        await hold.wait()

    async with connected(play) as connection:
        assert await ask(connection) == b""
        assert connection.reusable
        hold.set()


async def test_what_belongs_to_no_answer_is_no_part_of_one() -> None:
    async with connected(answers(b"HTTP/1.1 099 X\r\ncontent-length: 3\r\n\r\nxyz" + COUNTED)) as connection:
        assert await ask(connection) == b"abcde"


async def test_a_change_of_protocol_is_not_an_answer() -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
    async with connected(answers(upgrade + b"zzz")) as connection:
        with pytest.raises(ConnectionBroken):
            await ask(connection)


async def test_a_connection_carries_one_request_after_the_other() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (COUNTED, CHUNKED, COUNTED):
            await reader.readexactly(len(HEAD) + 2)
            writer.write(answer)

    async with connected(play) as connection:
        for status in (201, 200, 201):
            assert await ask(connection) == b"abcde"
            assert connection.status == status


async def test_what_was_not_read_of_an_answer_is_no_part_of_the_next_one() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (COUNTED, COUNTED.replace(b"abcde", b"fghij")):
            await reader.readexactly(len(HEAD) + 2)
            writer.write(answer)

    async with connected(play) as connection:
        await connection.ask(HEAD, b"{}", silence=5)
        assert connection.complete
        assert await ask(connection) == b"fghij"


@pytest.mark.parametrize("end", [b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", COUNTED * 2])
async def test_a_connection_that_must_not_be_used_again_is_not(end: bytes) -> None:
    async with connected(answers(end)) as connection:
        await ask(connection)
        assert not connection.reusable
        with pytest.raises(ConnectionBroken):
            await ask(connection)


async def test_what_comes_unasked_ends_an_idle_connection() -> None:
    asked, said = asyncio.Event(), asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(HEAD) + 2)
        writer.write(COUNTED)
        await asked.wait()
        writer.write(COUNTED)
        assert await reader.read() == b"", "the client closes"
        said.set()

    async with connected(play) as connection:
        await ask(connection)
        assert connection.reusable
        asked.set()
        async with asyncio.timeout(5):
            await said.wait()
        assert not connection.reusable


async def test_a_server_that_only_stops_sending_has_ended_its_answer_and_the_connection() -> None:
    closed = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(HEAD) + 2)
        writer.write(UNCOUNTED)
        writer.write_eof()
        assert await reader.read() == b"", "the client closes its side too"
        closed.set()

    async with connected(play) as connection:
        assert await ask(connection) == b"abcde"
        assert not connection.reusable
        async with asyncio.timeout(5):
            await closed.wait()


async def test_headers_without_end_are_refused() -> None:
    line = b"a: " + b"x" * 1000 + b"\r\n"
    async with connected(answers(b"HTTP/1.1 200 OK\r\n", line * (MAX_HEAD_BYTES // 1000 + 1))) as connection:
        with pytest.raises(ConnectionBroken, match="headers are too large"):
            await ask(connection)


async def test_silence_is_counted_anew_with_every_piece() -> None:
    go_on = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(HEAD) + 2)
        writer.write(UNCOUNTED)
        await go_on.wait()

    async with connected(play) as connection:
        await connection.ask(HEAD, b"{}", silence=0.05)
        assert await connection.read() == b"abcde"
        with pytest.raises(TimeoutError):
            await connection.read()
        assert not connection.reusable
        go_on.set()


async def test_a_server_waits_while_nobody_reads_and_that_is_no_silence() -> None:
    written, size = 0, 8 * 2**20

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readexactly(len(HEAD) + 2)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while written < size:
            writer.write(bytes(65_536))
            written += 65_536
            await writer.drain()

    async with connected(play) as connection:
        await connection.ask(HEAD, b"{}", silence=0.05)
        first = await connection.read()
        before = -1
        while before < written:  # until the server cannot go on; longer than the silence that is allowed
            before = written
            await asyncio.sleep(0.1)
        assert written < size, "the server was held back"
        rest = 0
        while piece := await connection.read():
            assert len(piece) <= 2 * MAX_WAITING_BYTES + 2**19
            rest += len(piece)
        assert len(first) + rest == size


async def test_a_server_that_answers_before_it_has_the_whole_body_is_not_sent_the_rest() -> None:
    body = bytes(40 * PIECE_BYTES)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with connected(play) as connection:
        await connection.ask(request_head(b"", {}, length=len(body)), body, silence=5)
        assert connection.status == 413
        assert await connection.read() == b""
        assert not connection.reusable


async def test_what_a_server_did_not_take_of_a_request_does_not_come_before_the_next_one() -> None:
    done = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(COUNTED)
        await done.wait()

    body = bytes(PIECE_BYTES)
    async with connected(play) as connection:
        sender = connection._transport.get_extra_info("socket")
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await connection.ask(request_head(b"POST / HTTP/1.1\r\nhost: h\r\n", {}, length=len(body)), body, silence=5)
        assert await connection.read() == b"abcde"
        assert not connection.reusable
        done.set()


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb", "a\0b"])
def test_a_header_cannot_bring_another_one_in(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        request_head(b"", {"x": value, "y": "1"}, length=0)
