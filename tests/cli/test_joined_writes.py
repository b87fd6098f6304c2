"""A head leaves with the first piece of its body, and does not wait for it."""

import asyncio
from typing import Any, cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from memrouter.cli.joined_writes import JoinedWrites, JoiningProtocol

HEAD = b"HTTP/1.1 200 OK\r\na: b\r\n\r\n"


class Wire:
    """What a transport was given to send."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str) -> str:
        return name


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def joined(wire: Wire) -> JoinedWrites:
    return JoinedWrites(cast("asyncio.Transport", wire), asyncio.get_running_loop())


async def test_a_head_and_the_piece_after_it_are_one_write(joined: JoinedWrites, wire: Wire) -> None:
    for data in (HEAD, b"one", b"two"):
        joined.write(data)
    await asyncio.sleep(0)
    assert wire.written == [HEAD + b"one", b"two"]


async def test_a_head_without_a_piece_leaves_in_the_next_round(joined: JoinedWrites, wire: Wire) -> None:
    joined.write(HEAD)
    assert wire.written == []
    await asyncio.sleep(0)
    assert wire.written == [HEAD]
    joined.write(b"one")
    assert wire.written == [HEAD, b"one"]


async def test_closing_sends_what_is_held_back(joined: JoinedWrites, wire: Wire) -> None:
    joined.write(HEAD)
    joined.close()
    await asyncio.sleep(0)
    assert (wire.written, wire.closed) == ([HEAD], True)


async def test_nothing_is_written_to_a_transport_that_closes(joined: JoinedWrites, wire: Wire) -> None:
    joined.write(HEAD)
    wire.closed = True
    await asyncio.sleep(0)
    assert wire.written == []


async def test_all_else_is_the_transport_s_own(joined: JoinedWrites) -> None:
    assert joined.get_extra_info("peername") == "peername"


async def test_an_answer_of_the_server_comes_as_it_was_sent() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        for piece in (b"one", HEAD, b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, log_config=None, server_header=False, date_header=False, http=JoiningProtocol)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    state: dict[str, Any] = {}
    listening = await asyncio.get_running_loop().create_server(
        lambda: JoiningProtocol(config, server.server_state, state), "127.0.0.1", 0
    )
    async with listening:
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\na: b\r\n")
    assert body == b"3\r\none\r\n%x\r\n%b\r\n3\r\ntwo\r\n0\r\n\r\n" % (len(HEAD), HEAD)
