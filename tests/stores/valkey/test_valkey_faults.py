"""A server that is away, stands still, restarts or is full: clear errors in time, and the same store goes on."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.models.memory import Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import EVERYTHING, Change, ListQuery, StoreQuery
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.edits import edit
from memrouter.testing.records import NOW, RecordFactory
from memrouter.testing.valkey import ValkeyServer, free_port
from memrouter.testing.valkey_cluster import ask

ALICE = Scope("alice")
LATER = NOW + 10**9


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    """A server that keeps what it acknowledged."""
    async with ValkeyServer(directory=tmp_path, args=("--appendonly", "yes", "--appendfsync", "always")) as running:
        yield running


@pytest.fixture
async def store(server: ValkeyServer) -> AsyncIterator[MemoryStore]:
    store = await opened(server.settings(timeout=1))
    yield store
    await store.aclose()


@pytest.fixture
def make(store: MemoryStore) -> RecordFactory:
    return RecordFactory(store.capabilities)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def opened(settings: ValkeySettings) -> ValkeyStore:
    return await ValkeyStore.open(settings, dimension=16, embedding_model="test-model")


async def back(store: MemoryStore) -> None:
    """Wait until the store serves again."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await store.check()
            except StoreUnavailable:
                await asyncio.sleep(0.02)


async def found(store: MemoryStore, *, scan_limit: int) -> set[str]:
    make = RecordFactory(store.capabilities)
    query = StoreQuery(vector=make.vector("x"), k=100, now=LATER, scan_limit=scan_limit)
    return {record.id for record in (await store.search(ALICE, query)).records or ()}


async def test_opening_holds_nothing_else_up(silent_port: int) -> None:
    """The client can connect in a way that stops the event loop, and every chat with it."""
    steps = 0

    async def others() -> None:
        nonlocal steps
        while True:
            await asyncio.sleep(0.005)
            steps += 1

    beside = asyncio.create_task(others())
    with pytest.raises(StoreUnavailable, match="did not accept a connection"):
        await opened(ValkeySettings(host="127.0.0.1", port=silent_port, timeout=0.5))
    assert steps > 10
    beside.cancel()


async def test_a_refused_connection_names_the_place_and_the_way_out() -> None:
    port = free_port()
    with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port} cannot be reached .Connection refused.; start it"):
        await opened(ValkeySettings(host="127.0.0.1", port=port, timeout=0.5))


async def test_every_call_fails_clearly_while_the_server_is_away_and_works_when_it_is_back(
    store: MemoryStore, make: RecordFactory, server: ValkeyServer
) -> None:
    kept = make.many(5)
    await store.create(kept)
    await server.kill()
    calls = (
        store.create([make.make()]),
        store.get(ALICE, [kept[0].id], now=LATER),
        store.list(ALICE, ListQuery(limit=1, now=LATER)),
        store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER, scan_limit=10)),
        store.search(ALICE, StoreQuery(vector=make.vector("x"), k=1, now=LATER)),
        store.commit(Change("alice", after=1, put=kept[:1])),
        store.touch(ALICE, [kept[0].id], now=LATER),
        store.delete(ALICE, EVERYTHING),
        store.stats(ALICE, now=LATER),
        store.check(),
    )
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert all(str(server.port) in str(outcome) for outcome in outcomes)
    await server.start()
    await back(store)
    for scan_limit in (0, 100):
        assert await found(store, scan_limit=scan_limit) == {record.id for record in kept}
    assert await store.delete(ALICE, EVERYTHING) == 5


async def test_a_call_to_a_server_that_stands_still_ends_within_the_timeout(
    store: MemoryStore, make: RecordFactory, server: ValkeyServer
) -> None:
    record = make.make()
    await store.create([record])
    server.pause()
    try:
        async with asyncio.timeout(5):
            with pytest.raises(StoreUnavailable, match="did not answer within 1 s"):
                await store.get(ALICE, [record.id], now=LATER)
    finally:
        server.resume()
    await back(store)
    assert len(await store.get(ALICE, [record.id], now=LATER)) == 1


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed_in_a_storm(
    store: MemoryStore, make: RecordFactory, server: ValkeyServer
) -> None:
    acknowledged: set[str] = set()
    killed = asyncio.Event()

    async def write(user: str) -> None:
        while not killed.is_set():
            record = make.make(user_id=user)
            try:
                acknowledged.update(await store.create([record], unique_content=True))
            except StoreUnavailable:
                return

    async def kill() -> None:
        while len(acknowledged) < 300:
            await asyncio.sleep(0.001)
        await server.kill()
        killed.set()

    users = [f"user{number}" for number in range(8)]
    await asyncio.gather(kill(), *(write(user) for user in users))
    await server.start()
    await back(store)
    kept: set[str] = set()
    for user in users:
        page = await store.list(Scope(user), ListQuery(limit=10_000, now=LATER))
        kept |= {record.id for record in page.records}
        query = StoreQuery(vector=make.vector("x"), k=9_000, now=LATER)
        assert {record.id for record in (await store.search(Scope(user), query)).records or ()} == {
            record.id for record in page.records
        }
    assert acknowledged <= kept
    assert len(kept - acknowledged) <= len(users), "at most the write that each was about to acknowledge"


async def test_a_server_at_maxmemory_refuses_writes_and_serves_reads(
    store: MemoryStore, make: RecordFactory, server: ValkeyServer
) -> None:
    kept = make.many(5)
    await store.create(kept)
    await ask(server, "CONFIG", "SET", "maxmemory", "1mb")
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await store.create([make.make()])
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await edit(store, ALICE, kept[0].id, now=LATER, importance=1.0)
    for scan_limit in (0, 100):
        assert await found(store, scan_limit=scan_limit) == {record.id for record in kept}
    await ask(server, "FT.DROPINDEX", "mem_idx")
    for scan_limit in (0, 100):
        assert await found(store, scan_limit=scan_limit) == {record.id for record in kept}, "with no index either"
    assert await store.delete(ALICE, EVERYTHING) == 5, "room can still be made"


async def test_a_server_that_forgot_the_scripts_is_taught_them_again(
    store: MemoryStore, make: RecordFactory, server: ValkeyServer
) -> None:
    record = make.make()
    await store.create([record])
    await ask(server, "SCRIPT", "FLUSH")
    assert len(await store.get(ALICE, [record.id], now=LATER)) == 1
    await ask(server, "SCRIPT", "FLUSH")
    more = [make.make(user_id=f"user{number}") for number in range(20)]
    assert await store.create(more) == [one.id for one in more]


async def test_searches_are_complete_while_the_index_is_dropped_again_and_again(
    store: MemoryStore, make: RecordFactory, server: ValkeyServer
) -> None:
    kept = make.many(60)
    await store.create(kept)
    wanted = {record.id for record in kept}
    done = asyncio.Event()

    async def search() -> None:
        while not done.is_set():
            assert await found(store, scan_limit=0) == wanted

    async def drop() -> None:
        for _ in range(10):
            with contextlib.suppress(RuntimeError):  # where it was not made again yet
                await ask(server, "FT.DROPINDEX", "mem_idx")
            await asyncio.sleep(0.02)
        done.set()

    await asyncio.gather(drop(), search(), search())
    await back(store)
    assert await found(store, scan_limit=0) == wanted
