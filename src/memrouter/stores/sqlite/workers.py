"""The two threads that use the database: one writes, one reads. The event loop never waits for the disk."""

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Generic, TypeVar

from memrouter.errors import StoreUnavailable
from memrouter.stores.sqlite.connection import roll_back
from memrouter.stores.sqlite.erasure import erase_words
from memrouter.stores.sqlite.errors import DriverError, translated

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]
"""What is to be done within one transaction; runs in the worker's thread."""

_MAX_BATCH = 128
"""Most jobs that share a transaction, and so one commit."""
_TOLD_AT_ONCE = 16
"""Most callers that are told in one round of the event loop."""


@dataclass(frozen=True, slots=True)
class Alike(Generic[T]):
    """A write of which several that wait are done by a few statements.

    Between two statements, a thread may have to wait for the interpreter for longer than a statement takes.

    Attributes:
        what: What is to be written.
        alone: Writes it.
        together: Writes some of a kind, and returns the result of each; None for one that is to be written alone, of
            which it has written nothing. Where it raises, each is written alone, unless the database failed.
    """

    what: Any
    alone: Callable[[sqlite3.Connection, Any], T]
    together: Callable[[sqlite3.Connection, Sequence[Any]], Sequence[T | None]]

    def __call__(self, connection: sqlite3.Connection) -> T:
        """Write it alone."""
        return self.alone(connection, self.what)


class _Asked(Generic[T]):
    """A job and the caller that waits for it."""

    def __init__(self, job: Job[T]) -> None:
        self.job = job
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()
        self._settle: Callable[[], None] = lambda: None

    def answer(self, result: T) -> None:
        """Have a result be the outcome."""
        self._settle = partial(self.future.set_result, result)

    def fail(self, error: Exception) -> None:
        """Have an error be the outcome."""
        self._settle = partial(self.future.set_exception, error)

    def settle(self) -> None:
        """Tell the caller the outcome; to be called in its loop."""
        if not self.future.done():
            self._settle()


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
        self._waiting: deque[_Asked[Any]] = deque()
        self._called = False

    async def run(self, job: Job[T]) -> T:
        """Return what ``job`` returns; of a write, once it is on the disk.

        A caller that is cancelled takes its job back if it has not begun.

        Raises:
            StoreUnavailable: The store is closed, or the driver failed; nothing was written.
        """
        asked = _Asked(job)
        self._waiting.append(asked)
        try:
            self._call()
        except StoreUnavailable:
            with contextlib.suppress(ValueError):  # a call before the closing has begun it already
                self._waiting.remove(asked)
                raise
        try:
            return await asked.future
        except DriverError as error:
            raise translated(error, place=self._place) from None

    async def aclose(self) -> None:
        """Finish the jobs that wait, then close the connection; calling it again does nothing."""
        self._called = False  # what comes later is refused, whatever waits before it
        with contextlib.suppress(StoreUnavailable):
            closed = self._submit(self._close)
            self._executor.shutdown(wait=False)
            try:
                await asyncio.wrap_future(closed)
            except DriverError as error:
                raise translated(error, place=self._place) from None

    def _submit(self, work: Callable[[], None]) -> Future[None]:
        try:
            return self._executor.submit(work)
        except RuntimeError:  # the executor was shut down
            raise StoreUnavailable("the memory store is closed") from None

    def _call(self) -> None:
        """Have the thread take what waits, unless it was called and has not begun: then it finds this job, too."""
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
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MAX_BATCH))]
            batch = [asked for asked in taken if not asked.future.cancelled()]
            if batch:
                self._work(batch)

    def _work(self, batch: Sequence[_Asked[Any]]) -> None:
        """Do jobs in one transaction, and have their callers told."""
        raise NotImplementedError

    def _close(self) -> None:
        self._connection.close()


class Reader(Worker):
    """Runs reads. Those that wait at the same time see one state of the database, with all writes that returned."""

    def _work(self, batch: Sequence[_Asked[Any]]) -> None:
        try:
            self._connection.execute("BEGIN")
            self._guard(self._connection)
        except Exception as error:  # noqa: BLE001 - handed to every caller that waits for this transaction
            for read in batch:
                read.fail(error)
            _tell(batch)
        else:
            for read in batch:
                try:
                    read.answer(read.job(self._connection))
                except Exception as error:  # noqa: BLE001 - handed to its caller
                    read.fail(error)
                _tell([read])  # at once: the next one may take long
        finally:
            roll_back(self._connection)


class Writer(Worker):
    """Runs writes. Those that wait at the same time share one transaction, and so one sync of the disk.

    Each write is all or nothing on its own; a caller hears of success only after the commit.
    """

    def _work(self, batch: Sequence[_Asked[Any]]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._guard(self._connection)
            for together, writes in groupby(batch, key=_kind):
                for write in self._left_of(list(writes)) if together else writes:
                    self._attempt(write)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - handed to every caller that waits for this transaction
            roll_back(self._connection)
            for write in batch:
                write.fail(error)
        _tell(batch)

    def _left_of(self, writes: Sequence[_Asked[Any]]) -> Sequence[_Asked[Any]]:
        """Do writes of a kind together, and return those that are to be done alone."""
        if len(writes) == 1:
            return writes
        jobs = [write.job for write in writes if isinstance(write.job, Alike)]
        self._connection.execute("SAVEPOINT together")
        try:
            results = jobs[0].together(self._connection, [job.what for job in jobs])
        except sqlite3.OperationalError:  # of the database, not of one of them
            raise
        except Exception:  # noqa: BLE001 - each of them is told its own, when it is done alone
            self._connection.execute("ROLLBACK TO together")
            results = [None] * len(jobs)
        self._connection.execute("RELEASE together")
        for write, result in zip(writes, results, strict=True):
            if result is not None:
                write.answer(result)
        return [write for write, result in zip(writes, results, strict=True) if result is None]

    def _attempt(self, write: _Asked[Any]) -> None:
        """Run a job inside the open transaction; undo it alone where it raises."""
        self._connection.execute("SAVEPOINT write")
        try:
            write.answer(write.job(self._connection))
        except Exception as error:
            if not self._connection.in_transaction:  # the driver gave up the transaction, with every write in it
                raise
            self._connection.execute("ROLLBACK TO write")
            write.fail(error)
        self._connection.execute("RELEASE write")

    def _close(self) -> None:
        try:
            erase_words(self._connection)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._connection.close()


def _kind(write: _Asked[Any]) -> object:
    """Return what writes of a kind have in common; None for a write that is of none."""
    return write.job.together if isinstance(write.job, Alike) else None


def _tell(batch: Sequence[_Asked[Any]]) -> None:
    """Wake up all callers of a transaction at once: to wake up the loop costs a thread as much as a write."""
    for loop in {asked.loop for asked in batch}:
        with contextlib.suppress(RuntimeError):  # closed: nobody waits there any more
            loop.call_soon_threadsafe(_settle, deque(asked for asked in batch if asked.loop is loop))


def _settle(batch: deque[_Asked[Any]]) -> None:
    """Tell a few callers at a time, so that others get their turn between what callers do."""
    for _ in range(min(len(batch), _TOLD_AT_ONCE)):
        asked = batch.popleft()
        asked.settle()
    if batch:
        asked.loop.call_soon(_settle, batch)
