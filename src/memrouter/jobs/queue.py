"""A bounded queue of background jobs. Knows no memory rules."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")

Handler: TypeAlias = Callable[[Sequence[T]], Awaitable[Sequence[Exception | None]]]
"""Does some jobs; returns for each of them, in their order, why it failed, and None where it did not."""


class JobQueue(Generic[T]):
    """Runs jobs in the background, a few at a time; when it is full, the oldest waiting job gives way.

    Every offered job ends in exactly one of ``done``, ``failed`` and ``dropped``. Workers are tasks that live while
    there is work, so the queue needs no start. Jobs begin in the order of their offers; their ends may overtake.

    Args:
        handler: Does jobs together. What it raises counts as the failure of each of them and ends nothing else.
        capacity: Most jobs that wait, at least 1; those in work do not count.
        workers: Most batches in work at once, at least 1.
        on_drop: Told of each job that is lost without having been done; must not raise.
        on_error: Told of the exception of each failed job, after its last try; must not raise.
        retries: How many more times a job is tried that failed with one of ``retry_on``.
        retry_delay: Seconds before the first retry; twice as long before each further one. Its place among
            ``workers`` waits along.
        retry_on: The exceptions after which a job is tried again.
        batch: Most jobs that are done together, at least 1. The more wait, the more are done together, so that work
            keeps up with offers in a busy event loop.
        quiet: Jobs begin when none has been offered, nor put off, for so many seconds, or a whole batch waits; 0 for at
            once.
        patience: Most seconds that a job waits for that where there is a place for it.

    Attributes:
        done: Number of jobs that the handler finished.
        failed: Number of jobs whose last try raised.
        dropped: Number of jobs lost: pushed out, cancelled, or offered after closing.
    """

    def __init__(
        self,
        handler: Handler[T],
        *,
        capacity: int,
        workers: int,
        on_drop: Callable[[T], None],
        on_error: Callable[[Exception], None],
        retries: int = 0,
        retry_delay: float = 0.0,
        retry_on: tuple[type[Exception], ...] = (),
        batch: int = 1,
        quiet: float = 0.0,
        patience: float = 0.0,
    ) -> None:
        self._handler = handler
        self._capacity = capacity
        self._workers = workers
        self._on_drop = on_drop
        self._on_error = on_error
        self._retries = retries
        self._retry_delay = retry_delay
        self._retry_on = retry_on
        self._batch = batch
        self._quiet = quiet
        self._patience = patience
        self._waiting: deque[T] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._batches = 0
        self._trying_again = 0
        self._relieved = asyncio.Event()
        self._in_work = 0
        self._called = False
        self._timer: asyncio.TimerHandle | None = None
        self._latest = 0.0
        self._closed = False
        self.done = 0
        self.failed = 0
        self.dropped = 0

    @property
    def depth(self) -> int:
        """Return how many jobs wait; those in work do not count."""
        return len(self._waiting)

    def offer(self, job: T) -> None:
        """Take a job, without waiting; needs a running event loop."""
        if self._closed:
            self._drop(job)
            return
        if len(self._waiting) >= self._capacity:
            self._drop(self._waiting.popleft())
        self._waiting.append(job)
        if not self._quiet or len(self._waiting) >= self._batch:
            self.hurry()
            return
        loop = asyncio.get_running_loop()
        self._latest = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._quiet, self._look, self._latest + self._patience)

    def put_off(self) -> None:
        """Have what waits for quiet wait for it anew, as far as its patience goes."""
        if self._timer is not None:
            self._latest = asyncio.get_running_loop().time()

    def hurry(self) -> None:
        """Begin what waits for quiet, if there is a place for it."""
        self._rest()
        self._hire()

    async def relief(self, seconds: float) -> None:
        """Wait while more than a quarter of the capacity waits, so that work keeps up with those who will offer more.

        Nobody waits longer than ``seconds``, nor for jobs that wait to be tried again: then work is not what is slow.
        """
        if not self._is_crowded or self._closed:
            return
        self._relieved.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._relieved.wait()

    async def drain(self, deadline_seconds: float) -> int:
        """Wait until no job is left, or the deadline is over; return how many are left undone.

        Jobs go on being taken meanwhile, and those left undone go on being worked on until ``aclose``.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_seconds):
                while self._waiting or self._tasks:
                    self.hurry()
                    await asyncio.wait(self._tasks)
        return len(self._waiting) + self._in_work

    async def aclose(self) -> None:
        """Cancel the jobs in work and drop those that wait; calling it again does nothing."""
        self._closed = True
        self._rest()
        while self._waiting:
            self._drop(self._waiting.popleft())
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _look(self, at_last: float) -> None:
        """Begin what waits if it has become quiet, else look again later."""
        loop = asyncio.get_running_loop()
        due = min(self._latest + self._quiet, at_last)
        if due > loop.time():
            self._timer = loop.call_at(due, self._look, at_last)
        else:
            self._timer = None
            self._hire()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hire(self) -> None:
        """Call a worker for what waits, unless one was called that has not begun: it calls the next one."""
        if self._waiting and not self._called and self._batches < self._workers:
            self._called = True
            # An empty context: a worker serves many requests and must not carry the request id of one of them.
            task = asyncio.get_running_loop().create_task(self._work(), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        """Do a batch of jobs until each is done, failed or dropped."""
        self._called = False
        left = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
        if not left:
            return
        self._batches += 1
        self._in_work += len(left)
        self._hire()
        try:
            for attempt in range(self._retries + 1):
                left = await self._try(left, last=attempt == self._retries)
                if not left:
                    return
                self._trying_again += 1
                self._relieve()
                try:
                    await asyncio.sleep(self._retry_delay * 2**attempt)
                finally:
                    self._trying_again -= 1
        except asyncio.CancelledError:
            self._in_work -= len(left)
            for job in left:
                self._drop(job)
            raise
        finally:
            self._batches -= 1
            self._go_on()
            self._relieve()

    @property
    def _is_crowded(self) -> bool:
        return len(self._waiting) > self._capacity // 4 and not self._trying_again

    def _relieve(self) -> None:
        """Let those go on who wait for relief, if there is some."""
        if not self._is_crowded:
            self._relieved.set()

    def _go_on(self) -> None:
        """Call a worker for what waits for a place alone."""
        if self._timer is None:
            self._hire()

    async def _try(self, jobs: list[T], *, last: bool) -> list[T]:
        """Do jobs, and return those that are to be tried again; the others make room."""
        try:
            failures = await self._handler(jobs)
        except Exception as error:  # noqa: BLE001 -- the border at which a job's failure ends
            failures = [error] * len(jobs)
        again = []
        for job, failure in zip(jobs, failures, strict=True):
            if isinstance(failure, self._retry_on) and not last:
                again.append(job)
                continue
            self._in_work -= 1
            if failure is None:
                self.done += 1
            else:
                self.failed += 1
                self._on_error(failure)
        return again

    def _drop(self, job: T) -> None:
        self.dropped += 1
        self._on_drop(job)
