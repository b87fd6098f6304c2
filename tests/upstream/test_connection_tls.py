"""Answers over TLS: whose certificate counts, and how an end is told from a break."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.stores.valkey.tls import Authority

from memrouter.upstream.connection import Connection, ConnectionBroken, request_head
from memrouter.upstream.connections import Connections

HEAD = request_head(b"POST / HTTP/1.1\r\nhost: h\r\n", {}, length=2)
COUNTED = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
UNCOUNTED = b"HTTP/1.1 200 OK\r\n\r\nabcde"

Play = Callable[[ssl.SSLSocket], None]


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("known"), "known")


@contextlib.asynccontextmanager
async def served(
    authority: Authority, play: Play, *, host: str = "localhost", trusted: Path | None = None
) -> AsyncIterator[Connections]:
    """Give the connections to a server with TLS that plays with each of them, in a thread, as no event loop would."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)

    def serve(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):  # shut down at the end of the test
            while True:
                plain, _ = listening.accept()
                plain.settimeout(10)
                with plain, contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as spoken:
                    play(spoken)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(asyncio.to_thread(serve, listening))
        tls = ssl.create_default_context(cafile=str(trusted or authority.ca))
        connections = Connections(host, listening.getsockname()[1], tls=tls, most=4, patience=5)
        try:
            yield connections
        finally:
            await connections.aclose()
            listening.shutdown(socket.SHUT_RDWR)
            await serving


def end(spoken: ssl.SSLSocket, *, says_so: bool) -> None:
    """End a connection by a close-notify, or the TCP connection below without one."""
    if says_so:
        spoken.unwrap()
    else:
        spoken.shutdown(socket.SHUT_RDWR)


def taken(spoken: ssl.SSLSocket) -> None:
    """Read one request."""
    left = len(HEAD) + 2
    while left:
        left -= len(spoken.recv(left)) or left


def answering(*answers: bytes) -> Play:
    def play(spoken: ssl.SSLSocket) -> None:
        for answer in answers:
            taken(spoken)
            spoken.sendall(answer)

    return play


async def ask(connection: Connection) -> bytes:
    await connection.ask(HEAD, b"{}", silence=5)
    pieces = []
    while piece := await connection.read():
        pieces.append(piece)
    return b"".join(pieces)


async def gone(connection: Connection) -> None:
    """Wait until the event loop has seen that the server ended a connection."""
    async with asyncio.timeout(5):
        while connection.reusable:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_one_connection_carries_one_request_after_the_other(known: Authority, host: str) -> None:
    async with served(known, answering(COUNTED, CHUNKED, COUNTED), host=host) as connections:
        used = set()
        for _ in range(3):
            connection = await connections.lend()
            assert await ask(connection) == b"abcde"
            connections.give_back(connection)
            used.add(connection)
        assert len(used) == 1


@pytest.mark.parametrize("server", ["DNS:example.com", "IP:127.0.0.2", "DNS:*.localhost"])
async def test_a_certificate_for_another_name_is_refused(tmp_path: Path, server: str) -> None:
    other = Authority.make(tmp_path, "other", server=server)
    for host in ("localhost", "127.0.0.1"):
        async with served(other, answering(COUNTED), host=host) as connections:
            with pytest.raises(ssl.SSLCertVerificationError, match=r"mismatch|not valid for"):
                await connections.lend()


async def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path, known: Authority) -> None:
    unknown = Authority.make(tmp_path, "unknown")
    async with served(unknown, answering(COUNTED), trusted=known.ca) as connections:
        with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
            await connections.lend()


async def test_a_large_answer_comes_whole_while_its_reader_is_slow(known: Authority) -> None:
    size = 4 * 2**20
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size)
    async with served(known, answering(answer)) as connections:
        connection = await connections.lend()
        await connection.ask(HEAD, b"{}", silence=5)
        received = 0
        while piece := await connection.read():
            received += len(piece)
            await asyncio.sleep(0)
        assert received == size
        connections.give_back(connection)


async def test_an_answer_without_length_ends_with_the_close_notify_alone(known: Authority) -> None:
    """The server says that it has finished and waits for the router to say so too, its TCP connection still open."""
    answered: list[bool] = []

    def play(spoken: ssl.SSLSocket) -> None:
        taken(spoken)
        spoken.sendall(UNCOUNTED)
        spoken.unwrap()  # returns once the router's close-notify is there
        answered.append(True)

    async with served(known, play) as connections:
        connection = await connections.lend()
        assert await ask(connection) == b"abcde"
        assert not connection.reusable
        connections.give_back(connection)
    assert answered == [True]


@pytest.mark.parametrize("cut", [COUNTED[:-1], CHUNKED[:-5], COUNTED[:20]])
@pytest.mark.parametrize("says_so", [True, False])
async def test_an_answer_that_stops_short_is_broken_off(known: Authority, cut: bytes, *, says_so: bool) -> None:
    def play(spoken: ssl.SSLSocket) -> None:
        taken(spoken)
        spoken.sendall(cut)
        end(spoken, says_so=says_so)

    async with served(known, play) as connections:
        connection = await connections.lend()
        with pytest.raises(ConnectionBroken, match="closed the connection"):
            await ask(connection)
        assert not connection.reusable
        connections.give_back(connection)


@pytest.mark.parametrize("says_so", [True, False])
async def test_a_kept_connection_that_the_server_ends_is_not_lent_again(known: Authority, *, says_so: bool) -> None:
    def play(spoken: ssl.SSLSocket) -> None:
        taken(spoken)
        spoken.sendall(COUNTED)
        end(spoken, says_so=says_so)

    async with served(known, play) as connections:
        kept = await connections.lend()
        assert await ask(kept) == b"abcde"
        connections.give_back(kept)
        await gone(kept)
        fresh = await connections.lend()
        assert fresh is not kept
        assert await ask(fresh) == b"abcde"
        connections.give_back(fresh)


async def test_what_is_no_tls_is_refused(known: Authority) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(COUNTED)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        tls = ssl.create_default_context(cafile=str(known.ca))
        connections = Connections("localhost", server.sockets[0].getsockname()[1], tls=tls, most=1, patience=5)
        for _ in range(2):
            with pytest.raises(OSError):
                await connections.lend()
        await connections.aclose()
