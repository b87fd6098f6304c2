"""A bounded queue of background jobs. Knows no memory rules."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class JobQueue(Generic[T]):
    """Runs jobs in the background, a few at a time; when it is full, the oldest waiting job gives way.

    Every offered job ends in exactly one of ``done``, ``failed`` and ``dropped``. Workers are tasks that live while
    there is work, so the queue needs no start. Jobs begin in the order of their offers; their ends may overtake.

    Args:
        handler: Does one job. An exception counts the job as failed and ends nothing else.
        capacity: Most jobs that wait, at least 1; those in work do not count.
        workers: Most jobs in work at once, at least 1.
        on_drop: Told of each job that is lost without having been done; must not raise.
        on_error: Told of the exception of each failed job, after its last try; must not raise.
        retries: How many more times a job is tried that failed with one of ``retry_on``.
        retry_delay: Seconds before the first retry; twice as long before each further one. The worker waits along.
        retry_on: The exceptions after which a job is tried again.

    Attributes:
        done: Number of jobs that the handler finished.
        failed: Number of jobs whose last try raised.
        dropped: Number of jobs lost: pushed out, cancelled, or offered after closing.
    """

    def __init__(
        self,
        handler: Callable[[T], Awaitable[None]],
        *,
        capacity: int,
        workers: int,
        on_drop: Callable[[T], None],
        on_error: Callable[[Exception], None],
        retries: int = 0,
        retry_delay: float = 0.0,
        retry_on: tuple[type[Exception], ...] = (),
    ) -> None:
        self._handler = handler
        self._capacity = capacity
        self._workers = workers
        self._on_drop = on_drop
        self._on_error = on_error
        self._retries = retries
        self._retry_delay = retry_delay
        self._retry_on = retry_on
        self._waiting: deque[T] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_work = 0
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
        self._hire()

    async def drain(self, deadline_seconds: float) -> int:
        """Wait until no job is left, or the deadline is over; return how many are left undone.

        Jobs go on being taken meanwhile, and those left undone go on being worked on until ``aclose``.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        return len(self._waiting) + self._in_work

    async def aclose(self) -> None:
        """Cancel the jobs in work and drop those that wait; calling it again does nothing."""
        self._closed = True
        while self._waiting:
            self._drop(self._waiting.popleft())
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _hire(self) -> None:
        if len(self._tasks) < self._workers:
            # An empty context: a worker serves many requests and must not carry the request id of one of them.
            task = asyncio.get_running_loop().create_task(self._work(), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._leave)

    def _leave(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if self._waiting:
            self._hire()

    async def _work(self) -> None:
        while self._waiting:
            job = self._waiting.popleft()
            self._in_work += 1
            try:
                await self._run(job)
            except asyncio.CancelledError:
                self._drop(job)
                raise
            except Exception as error:  # noqa: BLE001 -- the border at which a job's failure ends
                self.failed += 1
                self._on_error(error)
            else:
                self.done += 1
            finally:
                self._in_work -= 1

    async def _run(self, job: T) -> None:
        for attempt in range(self._retries):
            try:
                return await self._handler(job)
            except self._retry_on:
                await asyncio.sleep(self._retry_delay * 2**attempt)
        return await self._handler(job)

    def _drop(self, job: T) -> None:
        self.dropped += 1
        self._on_drop(job)
