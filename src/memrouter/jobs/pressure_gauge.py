"""Asks a store's server now and then how full it is."""

import asyncio
import contextvars
from contextlib import suppress
from typing import Final, Protocol

from memrouter.errors import StoreError
from memrouter.observability.metrics import Reading
from memrouter.stores.base import MemoryStore
from memrouter.stores.pressure import Pressure, Pressured

PRESSURE_SECONDS: Final = 30.0
"""Seconds between two questions."""


class PressureObserver(Protocol):
    """Shows how full the server is."""

    def watch_store_memory(self, *, used: Reading, limit: Reading) -> None:
        """Show two readings; called once, when there is something to show."""
        ...


class PressureGauge:
    """Follows one store.

    Args:
        observer: Is given the readings once the server has told something; never where it tells nothing.
        seconds: Between two questions.
    """

    def __init__(self, observer: PressureObserver, *, seconds: float = PRESSURE_SECONDS) -> None:
        self._observer = observer
        self._seconds = seconds
        self._last: Pressure | None = None
        self._task: asyncio.Task[None] | None = None

    def follow(self, store: MemoryStore) -> None:
        """Begin to ask, where the store's server has a limit at all; needs a running event loop."""
        if isinstance(store, Pressured) and self._task is None:
            # An empty context: what is asked belongs to no request.
            self._task = asyncio.get_running_loop().create_task(self._ask(store), context=contextvars.Context())

    async def aclose(self) -> None:
        """Ask no more; calling it again does nothing."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _ask(self, store: Pressured) -> None:
        while True:
            with suppress(StoreError):  # whoever needs the store says so
                pressure = await store.pressure()
                if pressure is not None:
                    self._show(pressure)
            await asyncio.sleep(self._seconds)

    def _show(self, pressure: Pressure) -> None:
        first, self._last = self._last is None, pressure
        if first:
            self._observer.watch_store_memory(used=self._used, limit=self._limit)

    def _used(self) -> float:
        return self._last.used_bytes if self._last else 0

    def _limit(self) -> float:
        return self._last.limit_bytes if self._last else 0
