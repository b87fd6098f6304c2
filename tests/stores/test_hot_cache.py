"""A failing cache costs one try for each pause, is logged once, and never reaches the caller."""

import asyncio
import logging

import pytest

from memrouter.errors import StoreUnavailable
from memrouter.stores.cache_server import Slot
from memrouter.stores.hot_cache import PAUSE_SECONDS, CacheObserver, HotCache
from memrouter.testing.clock import ManualClock


class Server:
    """Satisfies ``CacheServer``; fails on demand and counts the calls that reached it."""

    def __init__(self) -> None:
        self.failing = False
        self.calls = 0
        self.closed = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def _called(self) -> None:
        self.calls += 1
        await self.gate.wait()
        if self.failing:
            raise StoreUnavailable("the hot cache at host:1 failed: TimeoutError")

    async def read(self, key: str, field: str) -> Slot:
        await self._called()
        return Slot(b"1", f"{key}/{field}".encode())

    async def write(self, key: str, field: str, value: bytes, *, epoch: bytes) -> None:
        await self._called()

    async def drop(self, key: str) -> None:
        await self._called()

    async def aclose(self) -> None:
        self.closed = True


class Noted:
    """Satisfies ``CacheObserver``; keeps what it is told."""

    def __init__(self) -> None:
        self.operations: list[tuple[str, str]] = []

    def cache_operation(self, *, operation: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.operations.append((operation, outcome))

    def cache_search(self, outcome: str) -> None:
        raise AssertionError("not told by the cache")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
def cache(server: Server, noted: Noted, clock: ManualClock) -> HotCache:
    observer: CacheObserver = noted
    return HotCache(server, observer=observer, clock=clock)


async def test_calls_go_through_and_are_told(cache: HotCache, server: Server, noted: Noted) -> None:
    assert await cache.read("k", "f") == Slot(b"1", b"k/f")
    await cache.write("k", "f", b"", epoch=b"1")
    await cache.drop("k")
    await cache.aclose()
    assert noted.operations == [("read", "ok"), ("write", "ok"), ("drop", "ok")]
    assert server.closed


async def test_a_dead_cache_is_asked_once_for_each_pause(
    cache: HotCache, server: Server, noted: Noted, clock: ManualClock
) -> None:
    server.failing = True
    for _ in range(3):
        for _ in range(10):
            assert await cache.read("k", "f") is None
            await cache.write("k", "f", b"", epoch=b"")
            await cache.drop("k")
        clock.ms += int(PAUSE_SECONDS * 1000)
    assert server.calls == 3
    assert noted.operations[:3] == [("read", "failed"), ("write", "skipped"), ("drop", "skipped")]


async def test_a_cache_that_is_back_is_used_again_after_the_pause(
    cache: HotCache, server: Server, clock: ManualClock
) -> None:
    server.failing = True
    await cache.drop("k")
    server.failing = False
    assert await cache.read("k", "f") is None
    clock.ms += int(PAUSE_SECONDS * 1000)
    assert await cache.read("k", "f") is not None
    assert await cache.read("k", "f") is not None


async def test_an_outage_is_logged_once_and_so_is_its_end(
    cache: HotCache, server: Server, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.failing = True
    for _ in range(5):
        await cache.read("secret-key", "f")
        clock.ms += int(PAUSE_SECONDS * 1000)
    server.failing = False
    await cache.read("secret-key", "f")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "host:1" in caplog.records[0].getMessage()
    assert "secret" not in caplog.text


async def test_a_cancelled_call_is_told_as_such_and_is_no_failure(
    cache: HotCache, server: Server, noted: Noted
) -> None:
    server.gate.clear()
    task = asyncio.create_task(cache.read("k", "f"))
    while not server.calls:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.gate.set()
    assert await cache.read("k", "f") is not None
    assert noted.operations == [("read", "cancelled"), ("read", "ok")]
