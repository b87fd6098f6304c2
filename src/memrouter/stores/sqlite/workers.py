"""The two threads that use the database: one writes, one reads. The event loop never waits for the disk."""

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

from memrouter.errors import StoreUnavailable
from memrouter.stores.sqlite.connection import roll_back
from memrouter.stores.sqlite.erasure import erase_words
from memrouter.stores.sqlite.errors import DriverError, translated

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]
"""What is to be done within one transaction; runs in the worker's thread."""

_MAX_BATCH = 128
"""Most writes that share one commit."""


class Worker:
    """A thread with a connection of its own. Jobs run one after another, in the order of the calls.

    Args:
        connection: Closed with the worker.
        place: Path of the file, for messages.
        name: Of the thread.
        guard: Runs first in every transaction; what it raises is what every job of the transaction raises.
    """

    def __init__(
        self, connection: sqlite3.Connection, *, place: str, name: str, guard: Job[None] = lambda _: None
    ) -> None:
        self._connection = connection
        self._place = place
        self._guard = guard
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"memrouter-sqlite-{name}")

    async def aclose(self) -> None:
        """Finish the jobs that were begun, then close the connection; calling it again does nothing."""
        with contextlib.suppress(StoreUnavailable):
            closed = self._submit(self._close)
            self._executor.shutdown(wait=False)
            await self._result(closed)

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        try:
            return self._executor.submit(work)
        except RuntimeError:  # the executor was shut down
            raise StoreUnavailable("the memory store is closed") from None

    async def _result(self, future: Future[T]) -> T:
        try:
            return await asyncio.wrap_future(future)
        except DriverError as error:
            raise translated(error, place=self._place) from None

    def _close(self) -> None:
        self._connection.close()


class Reader(Worker):
    """Runs reads, each in a read transaction: it sees one state of the database, with all writes that returned."""

    async def run(self, job: Job[T]) -> T:
        """Return what ``job`` returns.

        Raises:
            StoreUnavailable: The store is closed, or the driver failed.
        """
        return await self._result(self._submit(lambda: self._read(job)))

    def _read(self, job: Job[T]) -> T:
        self._connection.execute("BEGIN")
        try:
            self._guard(self._connection)
            return job(self._connection)
        finally:
            roll_back(self._connection)


class _Write(Generic[T]):
    """A write and the caller that waits for it."""

    def __init__(self, job: Job[T]) -> None:
        self.future: Future[T] = Future()
        self._job = job
        self._settle: Callable[[], None] = lambda: None

    def attempt(self, connection: sqlite3.Connection) -> None:
        """Run the job inside the open transaction; undo it alone where it raises."""
        connection.execute("SAVEPOINT write")
        try:
            result = self._job(connection)
        except Exception as error:
            if not connection.in_transaction:  # the driver gave up the transaction, with every write in it
                raise
            connection.execute("ROLLBACK TO write")
            self._settle = partial(self.future.set_exception, error)
        else:
            self._settle = partial(self.future.set_result, result)
        connection.execute("RELEASE write")

    def settle(self) -> None:
        """Tell the caller the outcome, once the transaction is committed."""
        self._settle()


class Writer(Worker):
    """Runs writes. Those that wait at the same time share one transaction, and so one sync of the disk.

    Each write is all or nothing on its own; a caller hears of success only after the commit.
    """

    def __init__(
        self, connection: sqlite3.Connection, *, place: str, name: str, guard: Job[None] = lambda _: None
    ) -> None:
        super().__init__(connection, place=place, name=name, guard=guard)
        self._waiting: deque[_Write[object]] = deque()
        self._called = False

    async def run(self, job: Job[T]) -> T:
        """Return what ``job`` returns, once it is on the disk.

        A caller that is cancelled takes its job back if it has not begun.

        Raises:
            StoreUnavailable: The store is closed, or the driver failed; nothing was written.
        """
        write = _Write(job)
        self._waiting.append(write)  # type: ignore[arg-type] # a write of any result; only its own caller reads it
        try:
            self._call()
        except StoreUnavailable:
            if write.future.cancel():  # else a call before the closing has begun it already
                raise
        return await self._result(write.future)

    async def aclose(self) -> None:
        """See ``Worker.aclose``; a write that comes later is refused, whatever waits before it."""
        self._called = False
        await super().aclose()

    def _call(self) -> None:
        """Have the thread take what waits, unless it was called and has not begun: then it finds this write, too."""
        if self._called:
            return
        self._called = True  # before the thread can begin, which says that it has
        try:
            self._submit(self._drain)
        except StoreUnavailable:
            self._called = False
            raise

    def _drain(self) -> None:
        self._called = False
        while self._waiting:
            self._write_batch()

    def _write_batch(self) -> None:
        batch = [write for write in self._take() if write.future.set_running_or_notify_cancel()]
        if not batch:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._guard(self._connection)
            for write in batch:
                write.attempt(self._connection)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - handed to every caller that waits for this transaction
            roll_back(self._connection)
            for write in batch:
                write.future.set_exception(error)
        else:
            for write in batch:
                write.settle()

    def _take(self) -> list[_Write[object]]:
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), _MAX_BATCH))]

    def _close(self) -> None:
        try:
            erase_words(self._connection)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._connection.close()
