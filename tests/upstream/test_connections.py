"""Connections are kept, limited, and closed."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from memrouter.testing.upstream import Answer, Fault, ScriptedUpstream
from memrouter.upstream.connection import Connection, request_head
from memrouter.upstream.connections import Connections


@asynccontextmanager
async def lending(
    port: int, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, most: int = 4, patience: float = 5
) -> AsyncIterator[Connections]:
    connections = Connections(host, port, tls=tls, most=most, patience=patience)
    try:
        yield connections
    finally:
        await connections.aclose()


def port_of(server: ScriptedUpstream) -> int:
    return int(server.endpoint.partition(":")[2])


async def ask(connection: Connection) -> bytes:
    await connection.ask(request_head(b"POST / HTTP/1.1\r\nhost: h\r\n", {}, length=2), b"{}", silence=5)
    return await connection.read()


async def use(connections: Connections) -> Connection:
    connection = await connections.lend()
    try:
        assert b"ok" in await ask(connection)
    finally:
        connections.give_back(connection)
    return connection


async def test_the_connection_that_was_used_last_is_lent_first() -> None:
    async with ScriptedUpstream() as server, lending(port_of(server)) as connections:
        first, second = await connections.lend(), await connections.lend()
        for connection in (first, second):
            await ask(connection)
        connections.give_back(second)
        connections.give_back(first)
        assert await use(connections) is first


async def test_a_fresh_one_is_a_new_one() -> None:
    async with ScriptedUpstream() as server, lending(port_of(server)) as connections:
        kept = await use(connections)
        fresh = await connections.lend(fresh=True)
        assert fresh is not kept
        connections.give_back(fresh)


async def test_one_that_was_given_back_in_the_middle_of_an_answer_is_closed() -> None:
    async with ScriptedUpstream() as server, lending(port_of(server)) as connections:
        server.script(Answer.fault(Fault.HANG))
        connection = await connections.lend()
        asking = asyncio.create_task(ask(connection))
        await server.arrived.wait()
        asking.cancel()
        connections.give_back(connection)
        assert not connection.reusable
        assert await use(connections) is not connection


async def test_who_waits_for_a_place_gets_the_next_one_that_is_free() -> None:
    async with ScriptedUpstream() as server, lending(port_of(server), most=1) as connections:
        held = await connections.lend()
        waiting = asyncio.create_task(use(connections))
        await asyncio.sleep(0)
        await ask(held)
        connections.give_back(held)
        assert await waiting is held


async def test_a_wait_without_end_is_ended_and_takes_no_place() -> None:
    async with ScriptedUpstream() as server, lending(port_of(server), most=1, patience=0.02) as connections:
        held = await connections.lend()
        with pytest.raises(TimeoutError):
            await connections.lend()
        connections.give_back(held)
        await use(connections)


async def test_a_failure_to_connect_takes_no_place() -> None:
    server = ScriptedUpstream()
    await server.start()
    await server.aclose()
    async with lending(port_of(server), most=1) as connections:
        for _ in range(3):
            with pytest.raises(OSError, match="Connect"):
                await connections.lend()


async def test_one_that_is_old_is_not_lent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memrouter.upstream.connections.KEPT_SECONDS", 0.0)
    async with ScriptedUpstream() as server, lending(port_of(server)) as connections:
        first = await use(connections)
        await asyncio.sleep(0)
        assert await use(connections) is not first
        assert not first.reusable


async def test_after_closing_none_is_kept() -> None:
    async with ScriptedUpstream() as server, lending(port_of(server)) as connections:
        kept, held = await use(connections), await connections.lend(fresh=True)
        await connections.aclose()
        assert not kept.reusable
        assert not held.reusable
        connections.give_back(held)
