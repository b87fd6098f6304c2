"""A cache server that may fail: it costs little then, and nothing of it reaches the caller."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from memrouter.clock import Clock
from memrouter.errors import StoreUnavailable
from memrouter.stores.cache_server import CacheServer, Slot
from memrouter.stores.circuit import Circuit

logger = logging.getLogger(__name__)

T = TypeVar("T")

PAUSE_SECONDS: Final = 5.0
"""How long the cache is left alone after a failure."""


class CacheObserver(Protocol):
    """Is told of what the cache was asked and what it was good for."""

    def cache_operation(self, *, operation: str, outcome: str, seconds: float) -> None:
        """Note one call to the cache server.

        Args:
            operation: ``read``, ``write`` or ``drop``.
            outcome: ``ok``, ``failed``, ``cancelled``, or ``skipped`` while the cache is left alone after a failure.
            seconds: How long it took.
        """
        ...

    def cache_search(self, outcome: str) -> None:
        """Note one search.

        Args:
            outcome: ``hit``; ``miss``: nothing was kept; ``stale``: what was kept was older than the last write;
                ``unavailable``: the cache could not be asked.
        """
        ...


class HotCache:
    """Reads, writes and drops on a cache server; a failure is logged once, counted, and ends there.

    After a failure the server is left alone for PAUSE_SECONDS, then tried by one call.

    Args:
        server: Keeps the bytes; closed with this.
        observer: Is told of every call.
        clock: Times the calls and the pauses.
    """

    def __init__(self, server: CacheServer, *, observer: CacheObserver, clock: Clock) -> None:
        self._server = server
        self._observer = observer
        self._clock = clock
        self._circuit = Circuit(clock=clock, pause=PAUSE_SECONDS)

    async def read(self, key: str, field: str) -> Slot | None:
        """Return what is kept; None where the cache cannot be asked."""
        return await self._guarded("read", lambda: self._server.read(key, field))

    async def write(self, key: str, field: str, value: bytes, *, epoch: bytes) -> None:
        """Keep ``value`` if the cache can be reached and nothing was dropped since ``epoch`` was read."""
        await self._guarded("write", lambda: self._server.write(key, field, value, epoch=epoch))

    async def drop(self, key: str) -> None:
        """Drop what is kept under ``key`` if the cache can be reached."""
        await self._guarded("drop", lambda: self._server.drop(key))

    async def aclose(self) -> None:
        """Close the server's connection."""
        await self._server.aclose()

    async def _guarded(self, operation: str, call: Callable[[], Awaitable[T]]) -> T | None:
        if not self._circuit.allows():
            self._observer.cache_operation(operation=operation, outcome="skipped", seconds=0.0)
            return None
        begun, outcome = self._clock.monotonic(), "cancelled"
        try:
            result = await call()
            outcome = "ok"
        except StoreUnavailable as error:
            outcome = "failed"
            if self._circuit.failed():
                logger.warning("%s; the store answers alone until it is back", error)
            return None
        finally:
            seconds = self._clock.monotonic() - begun
            self._observer.cache_operation(operation=operation, outcome=outcome, seconds=seconds)
        if self._circuit.succeeded():
            logger.info("the hot cache is back")
        return result
