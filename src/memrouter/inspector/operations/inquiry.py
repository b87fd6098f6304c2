"""Work that an operator asks for and that takes longer than a page may: one at a time, in the background."""

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from memrouter.clock import Clock
from memrouter.errors import MemrouterError

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of an inquiry.

    Attributes:
        began_at: Milliseconds since the epoch.
        ended_at: Milliseconds since the epoch.
        value: What was found; None where it failed.
        failure: Why it failed, as a sentence; empty where it did not.
    """

    began_at: int
    ended_at: int
    value: T | None
    failure: str = ""


class Inquiry(Generic[T]):
    """Runs one piece of work at a time and keeps what came of the last one.

    Args:
        clock: Tells the time.
        seconds: Longest that it may take; then it has failed.
    """

    def __init__(self, *, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None
        self._began_at = 0
        self._last: Outcome[T] | None = None

    @property
    def running_since(self) -> int | None:
        """Return when what is under way began, in milliseconds since the epoch; None while nothing is."""
        return None if self._task is None or self._task.done() else self._began_at

    @property
    def last(self) -> Outcome[T] | None:
        """Return what came of the last one that ended; None before any."""
        return self._last

    def begin(self, work: Callable[[], Awaitable[T]]) -> bool:
        """Begin a piece of work; return False, and begin nothing, while one is under way."""
        if self.running_since is not None:
            return False
        self._began_at = self._clock.now_ms()
        # An empty context: what is logged belongs to no request.
        self._task = asyncio.get_running_loop().create_task(self._run(work), context=contextvars.Context())
        return True

    async def settles(self, *, within: float) -> bool:
        """Wait for what is under way, at most ``within`` seconds; return whether nothing is any more."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=within)
        return self.running_since is None

    async def aclose(self) -> None:
        """End what is under way; calling it again does nothing."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self, work: Callable[[], Awaitable[T]]) -> None:
        value, failure = None, ""
        try:
            async with asyncio.timeout(self._seconds):
                value = await work()
        except TimeoutError:
            failure = f"it was not finished within {self._seconds:g} s"
        except MemrouterError as error:
            failure = str(error)
        except Exception as error:
            logger.exception("an inquiry of an operator failed")
            failure = f"unexpected {type(error).__name__}; the log has more"
        self._last = Outcome(self._began_at, self._clock.now_ms(), value, failure)
