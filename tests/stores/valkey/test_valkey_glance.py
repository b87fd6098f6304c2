"""A look is what the client would say, or nothing; and no look ever gets the answer of another."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.memory import ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.stores.valkey import glance as glance_module
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
async def glance(settings: ValkeySettings, client: Connection) -> AsyncIterator[Glance]:
    made = beside(client, settings)
    yield made
    await made.aclose()


def beside(client: Connection, settings: ValkeySettings) -> Glance:
    """Return a glance at the server of a client."""
    return Glance(settings, server=partial(client.run, ["INFO", "server"]))


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
        assert await seen(glance) == str(number).encode()


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
        refused = beside(client, server.settings(password=password, database=3))
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


async def test_trouble_of_the_client_has_the_connection_checked_before_the_next_look(
    client: Connection, glance: Glance
) -> None:
    await seen(glance)
    glance.doubt()
    with pytest.raises(NotSeen):
        await glance.value(KEY)
    await seen(glance)
    assert await names(client) == 2, "the same connection"


async def test_a_server_that_is_a_primary_no_more_is_looked_at_no_more(client: Connection) -> None:
    while await names(client) < 2:
        await client.value(KEY)
    await client.run(["REPLICAOF", "127.0.0.1", "1"])
    async with asyncio.timeout(4):
        while await names(client) > 1:
            await client.value(KEY)


class Road:
    """A way to a server that can lead elsewhere, and that can swallow what is sent on one connection."""

    def __init__(self, to: int) -> None:
        self.to = to
        self.swallows: list[asyncio.Event] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        swallows = asyncio.Event()
        self.swallows.append(swallows)
        self.writers += writer, far_writer
        await asyncio.gather(
            self._carry(reader, far_writer, swallows), self._carry(far_reader, writer, asyncio.Event())
        )

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, swallows: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(4096):
                if not swallows.is_set():
                    writer.write(data)
        writer.close()


@asynccontextmanager
async def road_to(server: ValkeyServer) -> AsyncIterator[tuple[Road, int]]:
    """Give a way to a server, and the port where it begins."""
    road = Road(server.port)
    listening = await asyncio.start_server(road, "127.0.0.1", 0)
    try:
        yield road, listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for writer in road.writers:
            writer.close()


async def test_another_server_under_the_same_name_is_never_looked_at(
    server: ValkeyServer, settings: ValkeySettings, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    async with (
        ValkeyServer(directory=tmp_path / "other", search=False, args=("--requirepass", "secret")) as other,
        road_to(server) as (road, port),
    ):
        client = await Connection.open(settings.model_copy(update={"port": port}))
        while await names(client) < 2:
            await client.value(KEY)
        road.to = other.port
        road.writers[-1].close()  # that for looks; the client stays where it is
        while len(road.swallows) < 3 or await names(client) > 1:
            await client.value(KEY)
        for number in range(100):
            await client.run(["SET", KEY, number])
            assert await client.value(KEY) == str(number).encode()
        await client.aclose()


async def test_a_connection_whose_questions_get_lost_costs_no_more_than_a_moment_of_answers(
    server: ValkeyServer, settings: ValkeySettings
) -> None:
    async with road_to(server) as (road, port):
        client = await Connection.open(settings.model_copy(update={"port": port, "timeout": 10.0}))
        while await names(client) < 2:
            await client.value(KEY)
        road.swallows[-1].set()
        async with asyncio.timeout(4):
            answered = 0
            while answered < 20:
                with suppress(TimeoutError):  # a question waits for less long than the store's timeout
                    async with asyncio.timeout(0.1):
                        await client.value(KEY)
                        answered += 1
        await client.aclose()


async def test_a_user_who_may_not_look_tries_it_ever_less_often(
    client: Connection, settings: ValkeySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glance_module, "PAUSE_SECONDS", 0.001)
    await client.run(["ACL", "SETUSER", "blind", "on", ">secret", "~*", "+get", "+select", "+client"])
    blind = beside(client, settings.model_copy(update={"username": "blind"}))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await seen(blind)
    await blind.aclose()
    denied = [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in await client.run(["ACL", "LOG"])]
    assert 2 <= sum(entry[b"count"] for entry in denied) <= 10


async def test_a_reply_without_end_is_not_kept(settings: ValkeySettings) -> None:
    given_up = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while command := await reader.read(4096):
                if b"GET" not in command:
                    writer.write(reply(b"run_id:abc\r\nrole:master") if b"INFO" in command else b"+OK\r\n")
                    continue
                writer.write(b"$900000000\r\n")
                while True:
                    writer.write(bytes(4096))
                    await writer.drain()
        writer.close()
        given_up.set()

    async def same() -> bytes:
        return b"run_id:abc\r\n"

    async with await asyncio.start_server(endless, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        glance = Glance(settings.model_copy(update={"port": port, "timeout": 60.0}), server=same)
        async with asyncio.timeout(4):
            while not given_up.is_set():
                with pytest.raises(NotSeen):
                    await glance.value(KEY)
                await asyncio.sleep(0.001)
        await glance.aclose()


async def test_connections_that_were_lost_leave_nothing_open(client: Connection, glance: Glance) -> None:
    await seen(glance)
    before = open_files()
    for _ in range(50):
        await client.run(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
        await seen(glance)
    assert await names(client) == 2
    assert open_files() <= before


def open_files() -> int:
    """Return how many files are open, at least in a row from the first."""
    with socket.socket() as lowest:  # the system gives the lowest number that is free
        return lowest.fileno()


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
