"""A look is what the client would say, or nothing; and no look ever gets the answer of another."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.memory import ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.glance import Glance, NotSeen, Value, read_reply
from memrouter.testing.valkey import ValkeyServer

KEY = "~t{glance}:gen"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    async with ValkeyServer(directory=tmp_path, search=False, args=("--requirepass", "secret")) as started:
        yield started


@pytest.fixture
def settings(server: ValkeyServer) -> ValkeySettings:
    return server.settings(password="secret", database=3, timeout=0.5)


@pytest.fixture
async def client(settings: ValkeySettings) -> AsyncIterator[Connection]:
    opened = await Connection.open(settings)
    yield opened
    await opened.aclose()


@pytest.fixture
async def glance(settings: ValkeySettings) -> AsyncIterator[Glance]:
    made = Glance(settings)
    yield made
    await made.aclose()


async def seen(glance: Glance, key: str = KEY) -> Value:
    """Return what a look gives once there is a connection."""
    async with asyncio.timeout(4):
        while True:
            try:
                return await glance.value(key)
            except NotSeen:
                await asyncio.sleep(0.001)


async def names(client: Connection) -> int:
    """Return how many connections of routers the server has."""
    clients: bytes = await client.run(["CLIENT", "LIST"])
    return clients.count(b"name=memrouter ")


async def test_a_value_is_seen_as_soon_as_the_write_returned(client: Connection, glance: Glance) -> None:
    assert await seen(glance) is None
    for number in range(200):
        await client.run(["SET", KEY, number])
        assert await glance.value(KEY) == str(number).encode()


async def test_the_first_look_is_left_to_the_client(glance: Glance) -> None:
    with pytest.raises(NotSeen):
        await glance.value(KEY)


async def test_looks_side_by_side_get_each_their_own_value(client: Connection, glance: Glance) -> None:
    await client.pipeline([["SET", f"k{number}", b"\r\n$-1\r\n" * number] for number in range(300)])
    await seen(glance)
    looks = [asyncio.ensure_future(glance.value(f"k{number}")) for number in range(300)]
    await asyncio.sleep(0)
    for look in looks[::3]:
        look.cancel()
    found = await asyncio.gather(*looks, return_exceptions=True)
    assert all(isinstance(value, asyncio.CancelledError) for value in found[::3])
    expected = [b"\r\n$-1\r\n" * number for number in range(300)]
    assert (found[1::3], found[2::3]) == (expected[1::3], expected[2::3])


async def test_what_the_server_refuses_is_left_to_the_client(client: Connection, glance: Glance) -> None:
    await client.run(["HSET", KEY, "a", "b"])
    await client.run(["SET", "other", "x"])
    await seen(glance, "other")
    refused, found = await asyncio.gather(glance.value(KEY), glance.value("other"), return_exceptions=True)
    assert isinstance(refused, NotSeen)
    assert found == b"x"
    with pytest.raises(StoreUnavailable):
        await client.value(KEY)


async def test_a_wrong_password_or_a_replica_is_never_looked_at(server: ValkeyServer, client: Connection) -> None:
    await client.run(["SET", KEY, "1"])
    for password in ("wrong", "secret"):
        if password == "secret":
            await client.run(["REPLICAOF", "127.0.0.1", "1"])
        refused = Glance(server.settings(password=password, database=3))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await seen(refused)
        await refused.aclose()
    assert await client.value(KEY) == b"1"


async def test_a_server_that_was_killed_and_started_again_is_seen_again(server: ValkeyServer, glance: Glance) -> None:
    await seen(glance)
    await server.kill()
    await server.start()
    with pytest.raises(NotSeen):
        await glance.value(KEY)
    assert await seen(glance) is None


async def test_a_frozen_server_fails_in_time_and_in_the_words_of_the_client(
    server: ValkeyServer, client: Connection
) -> None:
    while await names(client) < 2:
        await client.value(KEY)
    server.pause()
    try:
        for _ in range(2):  # by the look, and by the client, since there is no connection for looks any more
            with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.5 s; see whether it is overloaded"):
                await client.value(KEY)
    finally:
        server.resume()
    await client.run(["SET", KEY, "1"])
    assert await client.value(KEY) == b"1"


async def test_trouble_of_the_client_makes_the_connection_anew(client: Connection) -> None:
    while await names(client) < 2:
        await client.value(KEY)
    with pytest.raises(StoreUnavailable):
        await client.run(["NO-SUCH-COMMAND"])
    async with asyncio.timeout(4):
        while await names(client) > 1:
            await asyncio.sleep(0.001)
        while await names(client) < 2:
            await client.value(KEY)


async def test_a_closed_connection_looks_no_more(settings: ValkeySettings) -> None:
    connection = await Connection.open(settings)
    await connection.value(KEY)
    await connection.aclose()
    with pytest.raises(StoreUnavailable, match="the memory store is closed"):
        await connection.value(KEY)


def reply(value: Value) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


@given(st.lists(st.none() | st.binary(max_size=40), max_size=8), st.data())
def test_replies_come_back_wherever_they_were_cut(values: list[Value], data: st.DataObject) -> None:
    whole = b"".join(map(reply, values))
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    found, at = [], 0
    while (part := read_reply(cut, at)) is not None:
        found.append(part[0])
        at = part[1]
    complete = [number for number in range(len(values) + 1) if len(b"".join(map(reply, values[:number]))) <= len(cut)]
    assert found == values[: complete[-1]]


@given(st.binary(max_size=60))
def test_foreign_bytes_are_no_value_beyond_them(data: bytes) -> None:
    try:
        found = read_reply(data, 0)
    except ValueError:
        return
    assert found is None or 0 < found[1] <= len(data)
