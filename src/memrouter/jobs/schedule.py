"""Work that a fleet does once in an interval, slowly while requests are served. Knows no memory rules."""

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

import msgspec

from memrouter.clock import Clock
from memrouter.errors import InvalidRequest, MemrouterError
from memrouter.jobs.lease import Lease
from memrouter.stores.state import StateStore

logger = logging.getLogger(__name__)

SPACE: Final = "schedule"
BUSY_SHARE: Final = 0.02
"""Share of the time that is worked while requests are served."""
LONGEST_REST: Final = 2.0
"""Most seconds of one rest."""
LONGEST_RUN: Final = 1800.0
"""Most seconds of one run; the next one goes on where it stopped."""
GRACE_SECONDS: Final = 0.4
"""How long stopping waits for work to end by itself, and again for it to be cancelled."""
RETRY_SECONDS: Final = 300.0
"""Seconds after which a run that failed is taken up, where its interval is longer."""
LONGEST_NAP: Final = 60.0
"""Most seconds between two looks at whether a run is due."""


class ScheduleObserver(Protocol):
    """Counts runs."""

    def upkeep_run(self, task: str, outcome: str, seconds: float) -> None:
        """Note the end of a run: ``finished``, ``stopped``, ``lost`` or ``failed``."""
        ...

    def upkeep_lease(self, task: str, *, held: bool) -> None:
        """Note whether this router holds the lease of a task."""
        ...

    def upkeep_overdue(self, task: str, seconds: float) -> None:
        """Note for how long a task has been due in the fleet; 0 where it is not."""
        ...


class Note(msgspec.Struct, frozen=True):
    """What the fleet remembers of a task.

    Attributes:
        ended_at: When the last run ended, or when the task was first seen, in milliseconds since the epoch.
        position: Where the next run begins; None for the beginning.
    """

    ended_at: int
    position: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work.

    Attributes:
        name: Of the lease and in metrics.
        interval: Seconds from the end of one run to the begin of the next, in the whole fleet.
        per_second: Most users a second.
        work: Does it, from a position on, as fast as the run lets it; returns whether it came to the end.
    """

    name: str
    interval: float
    per_second: float
    work: Callable[["Run", str | None], Awaitable[bool]]


class Run:
    """One run of a task; satisfies ``memrouter.memory.upkeep.pace.Pace``.

    Args:
        lease: Without it, nothing more is begun.
        per_second: Most users a second.
        busy: Whether requests are being served.
        stopping: Set once the router stops.
        clock: Tells the time.

    Attributes:
        position: Where the next run would have to begin.
        outcome: Why it was ended early; None while it goes on.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        per_second: float,
        busy: Callable[[], bool],
        stopping: asyncio.Event,
        clock: Clock,
    ) -> None:
        self._lease = lease
        self._least_seconds = 1 / per_second
        self._busy = busy
        self._stopping = stopping
        self._clock = clock
        self._begun = self._rested = self._user_begun = clock.monotonic()
        self.position: str | None = None
        self.outcome: str | None = None

    async def rest(self) -> None:
        """Wait, while requests are served, many times as long as was worked since the last rest.

        Raises:
            StoreUnavailable: The lease could not be renewed.
        """
        await self._lease.keep()
        worked = self._clock.monotonic() - self._rested
        await self._wait(min(LONGEST_REST, worked * (1 / BUSY_SHARE - 1)) if self._busy() else 0.0)
        self._rested = self._clock.monotonic()

    async def may_begin(self, position: str | None) -> bool:
        """Return whether to go on with the next user, who stands behind ``position``.

        Raises:
            StoreUnavailable: The lease could not be renewed.
        """
        self.position = position
        await self._wait(self._least_seconds - (self._clock.monotonic() - self._user_begun))
        self._user_begun = self._rested = self._clock.monotonic()
        if self._stopping.is_set() or self._user_begun - self._begun > LONGEST_RUN:
            self.outcome = "stopped"
        elif not await self._lease.keep():
            self.outcome = "lost"
        return self.outcome is None

    async def _wait(self, seconds: float) -> None:
        """Wait, at most until the router stops; let others work in any case."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


class Schedule:
    """Does tasks when they are due, one after the other, in one router of a fleet.

    A task that is seen for the first time is due after one interval. A run that failed, or was stopped, is taken up by
    the next one where it ended.

    Args:
        tasks: What to do.
        state: Where the fleet keeps leases and notes.
        holder: Names this router.
        busy: Whether requests are being served.
        clock: Tells the time.
        rng: Spreads the looks of several routers.
        observer: Counts.
    """

    def __init__(
        self,
        tasks: tuple[Task, ...],
        *,
        state: StateStore,
        holder: str,
        busy: Callable[[], bool],
        clock: Clock,
        rng: Random,
        observer: ScheduleObserver,
    ) -> None:
        self._tasks = tasks
        self._state = state
        self._holder = holder
        self._busy = busy
        self._clock = clock
        self._rng = rng
        self._observer = observer
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for work; needs a running event loop."""
        if self._running is None and self._tasks:
            # An empty context: what is logged belongs to no request.
            self._running = asyncio.get_running_loop().create_task(self._forever(), context=contextvars.Context())

    async def tick(self) -> None:
        """Do what is due now; an error ends one task's run and is logged."""
        for task in self._tasks:
            if self._stopping.is_set():
                return
            try:
                await self._look(task)
            except MemrouterError as error:
                logger.warning("%s: it will be tried again: %s", task.name, error)
            except Exception:
                logger.exception("%s: it will be tried again", task.name)

    def stop(self) -> None:
        """Begin nothing more, and end what is under way at the next rest."""
        self._stopping.set()

    async def aclose(self) -> None:
        """Stop within a second: at the next rest, or in the middle of it. Calling it again does nothing."""
        self.stop()
        running, self._running = self._running, None
        if running is not None:
            await asyncio.wait([running], timeout=GRACE_SECONDS)
            running.cancel()
            await asyncio.wait([running], timeout=GRACE_SECONDS)

    async def _forever(self) -> None:
        shortest = min(task.interval for task in self._tasks)
        while not self._stopping.is_set():
            await self.tick()
            nap = min(LONGEST_NAP, max(0.1, shortest / 10)) * (0.5 + self._rng.random())
            with suppress(TimeoutError):
                async with asyncio.timeout(nap):
                    await self._stopping.wait()

    async def _look(self, task: Task) -> None:
        note = await self._note(task)
        self._observer.upkeep_overdue(task.name, self._overdue(task, note))
        if note is None:
            await self._write(task, Note(self._clock.now_ms()), if_version=0)
        elif self._due(task, note):
            lease = Lease(task.name, holder=self._holder, state=self._state, clock=self._clock)
            if await lease.acquire():
                async with self._holding(task, lease):
                    # Another router may have done it between the first look and the lease.
                    note = await self._note(task)
                    if note is not None and self._due(task, note):
                        await self._run(task, lease, note)

    @contextlib.asynccontextmanager
    async def _holding(self, task: Task, lease: Lease) -> AsyncIterator[None]:
        self._observer.upkeep_lease(task.name, held=True)
        try:
            yield
        finally:
            self._observer.upkeep_lease(task.name, held=False)
            with suppress(MemrouterError):
                await lease.release()

    async def _run(self, task: Task, lease: Lease, note: Note) -> None:
        run = Run(lease, per_second=task.per_second, busy=self._busy, stopping=self._stopping, clock=self._clock)
        begun, outcome, run.position = self._clock.monotonic(), "failed", note.position
        try:
            ended = await self._work(task, run, note)
            outcome = run.outcome or "finished"
        except Exception:
            with suppress(MemrouterError):
                early = max(0.0, task.interval - RETRY_SECONDS)
                await self._write(task, Note(self._clock.now_ms() - round(early * 1000), run.position))
            raise
        finally:
            self._observer.upkeep_run(task.name, outcome, self._clock.monotonic() - begun)
        if outcome != "lost":
            await self._write(task, Note(self._clock.now_ms(), None if ended else run.position))
            self._observer.upkeep_overdue(task.name, 0)

    async def _work(self, task: Task, run: Run, note: Note) -> bool:
        try:
            return await task.work(run, note.position)
        except InvalidRequest:
            if note.position is None:
                raise
            return await task.work(run, None)  # the memories have moved to another kind of store

    async def _note(self, task: Task) -> Note | None:
        entry = await self._state.get(SPACE, task.name, now=self._clock.now_ms())
        try:
            return None if entry is None else msgspec.json.decode(entry.value, type=Note)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return Note(0)  # written by a later version, or by nobody who should have: due at once

    async def _write(self, task: Task, note: Note, *, if_version: int | None = None) -> None:
        value = msgspec.json.encode(note)
        await self._state.put(SPACE, task.name, value, now=self._clock.now_ms(), if_version=if_version)

    def _due(self, task: Task, note: Note) -> bool:
        return self._clock.now_ms() - note.ended_at >= task.interval * 1000

    def _overdue(self, task: Task, note: Note | None) -> float:
        """Return for how many seconds a task has been due; a note that nobody can read counts as one of now."""
        if note is None or note.ended_at == 0:
            return 0.0
        return max(0.0, (self._clock.now_ms() - note.ended_at) / 1000 - task.interval)
