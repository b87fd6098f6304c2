"""Measuring on a real server: the formula holds, and nothing of it stays, however it ends."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable

import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.sizing.measure import Measured, measure
from memrouter.sizing.workload import Workload
from memrouter.stores.valkey.connection import Connection
from memrouter.testing.valkey import ValkeyServer, apart

SMALL = Workload(600, 32)


async def measured(
    settings: ValkeySettings, workload: Workload = SMALL, on_progress: Callable[[int], None] = lambda _: None
) -> Measured:
    return await measure(settings, workload, rng=random.Random(), on_progress=on_progress)


async def names(connection: Connection) -> set[bytes]:
    """Return the keys of a server and its indexes."""
    found = set(await connection.run(["FT._LIST"]))
    async for keys in connection.scan("*", kind=None):
        found |= set(keys)
    return found


@pytest.mark.parametrize(
    "workload",
    [
        Workload(5_000, 256),
        Workload(2_000, 384, content_bytes=1500, users=4),
        Workload(2_000, 64, graph_links=16),
        Workload(1_500, 64, text_index=True),
    ],
    ids=str,
)
async def test_the_formula_is_within_15_percent_of_the_server(valkey: ValkeySettings, workload: Workload) -> None:
    found = await measured(valkey, workload)
    assert abs(found.off) < 0.15
    hashes = (found.size.documents + found.size.vectors) / workload.memories
    assert hashes == pytest.approx(found.hash_bytes, rel=0.15)
    assert found.index


async def test_nothing_stays_and_nothing_of_others_is_touched(valkey: ValkeySettings, connection: Connection) -> None:
    other = apart(valkey).collection_prefix + "other"
    await connection.run(["HSET", other, "content", "mine"])
    before = await names(connection)
    seen: list[int] = []
    await measured(valkey.model_copy(update={"collection_prefix": "scratch"}), on_progress=seen.append)
    assert sum(seen) == SMALL.memories
    assert await names(connection) == before
    assert await connection.run(["HGETALL", other]) == {b"content": b"mine"}
    await connection.run(["UNLINK", other])


async def cancelled(settings: ValkeySettings) -> None:
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(asyncio.CancelledError):
        await measured(settings, on_progress=lambda _: task.cancel() and None)
    task.uncancel()


async def broken(settings: ValkeySettings) -> None:
    def fail(_: int) -> None:
        raise OSError("the terminal is gone")

    with pytest.raises(OSError, match="the terminal is gone"):
        await measured(settings, on_progress=fail)


@pytest.mark.parametrize("ended", [cancelled, broken])
async def test_nothing_stays_after_an_interruption_or_a_fault(
    valkey: ValkeySettings, connection: Connection, ended: Callable[[ValkeySettings], Awaitable[None]]
) -> None:
    before = await names(connection)
    await ended(valkey)
    assert await names(connection) == before


async def test_a_server_without_room_is_left_alone() -> None:
    async with ValkeyServer(args=("--maxmemory", "40mb", "--maxmemory-policy", "noeviction")) as server:
        with pytest.raises(StoreUnavailable, match=r"would take .* below its maxmemory; measure fewer"):
            await measured(server.settings(), Workload(20_000, 384))
        connection = await Connection.open(server.settings())
        assert await names(connection) == set()
        small = await measured(server.settings())
        assert small.used > 0
        await connection.aclose()


async def test_a_server_that_fills_up_meanwhile_is_cleaned() -> None:
    async with ValkeyServer(args=("--maxmemory", "40mb", "--maxmemory-policy", "noeviction")) as server:
        connection = await Connection.open(server.settings())
        loop = asyncio.get_running_loop()
        others: list[asyncio.Task[object]] = []

        def shrink(_: int) -> None:
            others.append(loop.create_task(connection.run(["CONFIG", "SET", "maxmemory", "3mb"])))

        with pytest.raises(StoreUnavailable, match=r"runs short|has reached maxmemory"):
            await measured(server.settings(), Workload(5_000, 32), on_progress=shrink)
        await asyncio.gather(*others)
        assert await names(connection) == set()
        await connection.aclose()


async def test_an_index_over_all_keys_is_not_filled_with_scratch_memories() -> None:
    async with ValkeyServer() as server:
        connection = await Connection.open(server.settings())
        await connection.run(["FT.CREATE", "everything", "ON", "HASH", "SCHEMA", "id", "TAG"])
        with pytest.raises(StoreUnavailable, match="takes in every key"):
            await measured(server.settings())
        assert await names(connection) == {b"everything"}
        await connection.aclose()


async def test_a_server_that_dies_meanwhile_is_reported_with_what_to_remove() -> None:
    async with ValkeyServer() as server:
        with pytest.raises(StoreUnavailable, match=r"may still be there: drop the index scratch_size_\w+"):
            await measured(server.settings(timeout=1), on_progress=lambda _: os.kill(server.pid, signal.SIGKILL))


async def test_the_append_only_file_is_measured_where_there_is_one() -> None:
    async with ValkeyServer(args=("--appendonly", "yes")) as server:
        found = await measured(server.settings())
    assert found.aof is not None
    assert found.aof > SMALL.memories * SMALL.content_bytes


async def test_a_cluster_is_refused(valkey: ValkeySettings) -> None:
    with pytest.raises(StoreUnavailable):
        await measured(valkey.model_copy(update={"cluster": True}))
