"""Counts that are gathered for a while and then written together. Knows no memory rules."""

import asyncio
import contextvars
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

TOGETHER: Final = 16
"""Most keys that are written at the same time, so that a store can take them in one step."""


class Tally(Generic[K]):
    """Gathers what is counted under each key and writes it a moment later, one call a key.

    An item that was counted n times in between is written n times, in n calls. What cannot be written is lost: a
    count is not worth holding memory for.

    Args:
        write: Writes one count for each of some distinct items under a key.
        seconds: How long counts are gathered.
        capacity: Most counts that wait; further ones are dropped.
        on_error: Told of the exception of a call that failed; must not raise.

    Attributes:
        dropped: Number of counts lost because too many waited, or after closing.
    """

    def __init__(
        self,
        write: Callable[[K, Sequence[str]], Awaitable[object]],
        *,
        seconds: float,
        capacity: int,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._write = write
        self._seconds = seconds
        self._capacity = capacity
        self._on_error = on_error
        self._counts: dict[K, Counter[str]] = {}
        self._waiting = 0
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self.dropped = 0

    def note(self, key: K, items: Iterable[str]) -> None:
        """Count each of ``items`` once, without waiting; needs a running event loop."""
        new = list(items)
        if self._closing.is_set() or self._waiting + len(new) > self._capacity:
            self.dropped += len(new)
            return
        self._counts.setdefault(key, Counter()).update(new)
        self._waiting += len(new)
        if self._task is None:
            # An empty context: the task serves many requests and must not carry the request id of one of them.
            self._task = asyncio.get_running_loop().create_task(self._later(), context=contextvars.Context())

    async def flush(self) -> None:
        """Write everything that was counted so far."""
        counts, self._counts, self._waiting = list(self._counts.items()), {}, 0
        for first in range(0, len(counts), TOGETHER):
            await asyncio.gather(*(self._write_all(*counted) for counted in counts[first : first + TOGETHER]))

    async def _write_all(self, key: K, tally: Counter[str]) -> None:
        try:
            for number in range(max(tally.values(), default=0)):
                await self._write(key, [item for item, count in tally.items() if count > number])
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the other keys are to be written
            self._on_error(error)

    async def aclose(self) -> None:
        """Write what waits, and take no more; calling it again does nothing."""
        self._closing.set()
        if self._task is not None:
            await self._task

    async def _later(self) -> None:
        try:
            while self._counts:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._seconds):
                        await self._closing.wait()
                await self.flush()
        finally:
            self._task = None
