"""Reads and writes off the event loop: shared commits, single failures, cancelled callers."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from memrouter.errors import InvalidRequest, StoreUnavailable
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.sqlite.workers import Alike, Job, Reader, Writer


def connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT)")
    connection.execute("CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY)")
    return connection


@pytest.fixture
async def writer(path: Path) -> AsyncIterator[Writer]:
    writer = Writer(connected(path), place=str(path), name="test-writer")
    yield writer
    await writer.aclose()


@pytest.fixture
async def reader(path: Path) -> AsyncIterator[Reader]:
    reader = Reader(connected(path), place=str(path), name="test-reader")
    yield reader
    await reader.aclose()


class Gate:
    """A job that holds the worker's thread until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._open = threading.Event()

    def __call__(self, connection: sqlite3.Connection) -> None:
        self.entered.set()
        assert self._open.wait(30)

    def open(self) -> None:
        self._open.set()


def insert(number: int) -> Job[int]:
    """Return a job that inserts a number and returns it."""

    def job(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))
        return number

    return job


async def numbers(reader: Reader) -> list[int]:
    return await reader.run(lambda connection: [row[0] for row in connection.execute("SELECT number FROM numbers")])


_HOLDING: set[asyncio.Task[None]] = set()


async def behind(gate: Gate, writer: Writer, *jobs: Job[int]) -> list[asyncio.Task[int]]:
    """Return the tasks of jobs that wait together while ``gate`` holds the thread."""
    holding = asyncio.create_task(writer.run(gate))
    _HOLDING.add(holding)
    holding.add_done_callback(_HOLDING.discard)
    await asyncio.to_thread(gate.entered.wait, 30)
    tasks = [asyncio.create_task(writer.run(job)) for job in jobs]
    await asyncio.sleep(0)
    return tasks


async def test_a_write_that_returned_is_read(writer: Writer, reader: Reader) -> None:
    for number in range(20):
        await writer.run(insert(number))
        assert await numbers(reader) == list(range(number + 1))


async def test_a_read_sees_one_state_though_a_write_is_committed_meanwhile(writer: Writer, reader: Reader) -> None:
    gate = Gate()

    def count_twice(connection: sqlite3.Connection) -> list[tuple[int]]:
        counts = connection.execute("SELECT count(*) FROM numbers").fetchall()
        gate(connection)
        return counts + connection.execute("SELECT count(*) FROM numbers").fetchall()

    reading = asyncio.create_task(reader.run(count_twice))
    await asyncio.to_thread(gate.entered.wait, 30)
    await writer.run(insert(1))
    gate.open()
    assert await reading == [(0,), (0,)]
    assert await numbers(reader) == [1]


async def test_writes_that_wait_together_share_a_commit(writer: Writer, reader: Reader, path: Path) -> None:
    def commits(connection: sqlite3.Connection) -> int:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    gate = Gate()
    tasks = await behind(gate, writer, *(insert(number) for number in range(50)))
    assert await numbers(reader) == []
    before = await reader.run(commits)
    gate.open()
    assert await asyncio.gather(*tasks) == list(range(50))
    assert await numbers(reader) == list(range(50))
    assert await reader.run(commits) > before
    frames = (path.parent / f"{path.name}-wal").stat().st_size
    assert frames < 50 * 4096, "fifty commits would have written the page fifty times"


async def test_a_write_that_fails_is_undone_alone(writer: Writer, reader: Reader) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO numbers VALUES (100)")
        raise StoreUnavailable("on purpose")

    gate = Gate()
    first = await behind(gate, writer, insert(1))
    failing = asyncio.create_task(writer.run(half))
    last = asyncio.create_task(writer.run(insert(2)))
    await asyncio.sleep(0)
    gate.open()
    results = await asyncio.gather(*first, failing, last, return_exceptions=True)
    assert [results[0], results[2]] == [1, 2]
    assert isinstance(results[1], StoreUnavailable)
    assert await numbers(reader) == [1, 2]


class Together:
    """Inserts numbers by one statement, negative ones aside, and notes which."""

    def __init__(self, *, then: Exception | None = None) -> None:
        self.calls: list[list[int]] = []
        self._then = then

    def __call__(self, connection: sqlite3.Connection, numbers: Sequence[int]) -> list[int | None]:
        self.calls.append(list(numbers))
        connection.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in numbers if number >= 0])
        if self._then is not None:
            raise self._then
        return [number if number >= 0 else None for number in numbers]

    def job(self, number: int) -> Alike[int]:
        return Alike(number, lambda connection, alone: insert(alone)(connection), self)


async def test_writes_of_a_kind_that_wait_are_done_together(writer: Writer, reader: Reader) -> None:
    gate, together, others = Gate(), Together(), Together()
    jobs = [together.job(1), together.job(-2), together.job(3), insert(4), others.job(5), together.job(6)]
    tasks = await behind(gate, writer, *jobs)
    gate.open()
    assert await asyncio.gather(*tasks) == [1, -2, 3, 4, 5, 6]
    assert (together.calls, others.calls) == ([[1, -2, 3]], [])
    assert sorted(await numbers(reader)) == [-2, 1, 3, 4, 5, 6]


async def test_writes_that_cannot_be_done_together_are_done_one_by_one(writer: Writer, reader: Reader) -> None:
    gate, together = Gate(), Together()
    tasks = await behind(gate, writer, *(together.job(number) for number in (1, 2, 2, 3)))
    gate.open()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, InvalidRequest) for result in results] == [False, False, True, False]
    assert await numbers(reader) == [1, 2, 3]


async def test_a_database_that_fails_in_the_midst_of_several_writes_fails_all(writer: Writer, reader: Reader) -> None:
    gate, together = Gate(), Together(then=sqlite3.OperationalError("disk"))
    tasks = await behind(gate, writer, together.job(1), together.job(2))
    gate.open()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 2
    assert await numbers(reader) == []


async def test_a_transaction_that_the_driver_gave_up_fails_every_write_in_it(writer: Writer, reader: Reader) -> None:
    def give_up(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT OR ROLLBACK INTO numbers VALUES (1)")

    gate = Gate()
    first = await behind(gate, writer, insert(1))
    failing = asyncio.create_task(writer.run(give_up))
    last = asyncio.create_task(writer.run(insert(2)))
    await asyncio.sleep(0)
    gate.open()
    results = await asyncio.gather(*first, failing, last, return_exceptions=True)
    assert all(isinstance(result, Exception) for result in results)
    assert await numbers(reader) == []
    assert await writer.run(insert(3)) == 3
    assert await numbers(reader) == [3]


async def test_a_locked_file_is_unavailable_and_free_again_later(writer: Writer, reader: Reader, path: Path) -> None:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked by another process"):
        await writer.run(insert(1))
    holder.execute("ROLLBACK")
    holder.close()
    assert await writer.run(insert(1)) == 1
    assert await numbers(reader) == [1]


async def test_a_cancelled_write_that_has_not_begun_is_not_done(writer: Writer, reader: Reader) -> None:
    gate = Gate()
    kept, dropped = await behind(gate, writer, insert(1), insert(2))
    dropped.cancel()
    await asyncio.sleep(0)
    gate.open()
    assert await kept == 1
    with pytest.raises(asyncio.CancelledError):
        await dropped
    assert await numbers(reader) == [1]


async def test_closing_finishes_the_writes_that_wait(writer: Writer, reader: Reader) -> None:
    gate = Gate()
    tasks = await behind(gate, writer, *(insert(number) for number in range(300)))
    closing = asyncio.create_task(writer.aclose())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="closed"):
        await writer.run(insert(999))
    gate.open()
    assert await asyncio.gather(*tasks) == list(range(300))
    await closing
    await writer.aclose()
    assert await numbers(reader) == list(range(300))


async def test_the_event_loop_runs_while_the_database_is_busy(writer: Writer, reader: Reader) -> None:
    gate = Gate()
    (task,) = await behind(gate, writer, insert(1))
    assert await numbers(reader) == [], "a read waits for no write"
    assert not task.done()
    gate.open()
    assert await task == 1


async def test_a_store_closed_by_a_cancelled_caller_is_closed_all_the_same(store: SqliteStore, path: Path) -> None:
    closing = asyncio.create_task(store.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await store.aclose()
    with pytest.raises(StoreUnavailable):
        await store.check()
