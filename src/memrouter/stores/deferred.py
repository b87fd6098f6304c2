"""A store on a server that may not be there yet: tried again in the background until it is open."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeAlias

from memrouter.errors import SchemaMismatch, StoreUnavailable
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import Capabilities, MemoryStore
from memrouter.stores.deferred_state import DeferredState
from memrouter.stores.query import (
    Candidates,
    Change,
    Filter,
    ListQuery,
    Merged,
    MergeMode,
    Page,
    ScanPage,
    ScanQuery,
    ScopeStats,
    StoreQuery,
)
from memrouter.stores.state import StateStore

logger = logging.getLogger(__name__)

MAX_DELAY_SECONDS = 2.0

Opener: TypeAlias = Callable[[], Awaitable[MemoryStore]]


async def open_or_defer(
    opener: Opener, *, capabilities: Capabilities, rng: random.Random, max_delay: float = MAX_DELAY_SECONDS
) -> MemoryStore:
    """Return the store, or, where its server cannot be reached now, one that opens it as soon as it can be.

    Args:
        opener: Opens the store; called again until it succeeds.
        capabilities: What the store promises while it is not open.
        rng: Spreads the tries of several routers.
        max_delay: Most seconds between two tries.

    Raises:
        SchemaMismatch: The server is there, and what it holds does not fit: waiting would not help.
    """
    try:
        return await opener()
    except StoreUnavailable as error:
        logger.warning("the memory store cannot be opened yet; requests go on without memory meanwhile: %s", error)
        return DeferredStore(opener, reason=str(error), capabilities=capabilities, rng=rng, max_delay=max_delay)


class DeferredStore:
    """Satisfies ``MemoryStore``; until the store is open, every call raises why it is not.

    Tries go on in the background until one succeeds or ``aclose``. Needs a running event loop.

    Args:
        opener: Opens the store.
        reason: Why it could not be opened so far.
        capabilities: What is promised until then.
        rng: Spreads the tries of several routers.
        max_delay: Most seconds between two tries.
    """

    def __init__(
        self, opener: Opener, *, reason: str, capabilities: Capabilities, rng: random.Random, max_delay: float
    ) -> None:
        self._opener = opener
        self._max_delay = max_delay
        self._capabilities = capabilities
        self._rng = rng
        self._inner: MemoryStore | None = None
        self._failure: type[StoreUnavailable | SchemaMismatch] = StoreUnavailable
        self._reason = reason
        self._task = asyncio.get_running_loop().create_task(self._open())

    @property
    def capabilities(self) -> Capabilities:
        """Return what the store is once it is open, and what was promised until then."""
        return self._capabilities if self._inner is None else self._inner.capabilities

    async def create(self, records: Sequence[MemoryRecord], *, unique_content: bool = False) -> list[str]:
        """See ``MemoryStore.create``."""
        return await self._store().create(records, unique_content=unique_content)

    async def get(self, scope: Scope, ids: Sequence[str], *, now: int) -> list[MemoryRecord]:
        """See ``MemoryStore.get``."""
        return await self._store().get(scope, ids, now=now)

    async def list(self, scope: Scope, query: ListQuery) -> Page:
        """See ``MemoryStore.list``."""
        return await self._store().list(scope, query)

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        """See ``MemoryStore.search``."""
        return await self._store().search(scope, query)

    async def touch(self, scope: Scope, ids: Sequence[str], *, now: int) -> int:
        """See ``MemoryStore.touch``."""
        return await self._store().touch(scope, ids, now=now)

    async def delete(self, scope: Scope, where: Filter) -> int:
        """See ``MemoryStore.delete``."""
        return await self._store().delete(scope, where)

    async def stats(self, scope: Scope, *, now: int) -> ScopeStats:
        """See ``MemoryStore.stats``."""
        return await self._store().stats(scope, now=now)

    async def scan(self, query: ScanQuery) -> AsyncIterator[ScanPage]:
        """See ``MemoryStore.scan``."""
        async for page in self._store().scan(query):
            yield page

    async def merge(self, records: Sequence[MemoryRecord], *, mode: MergeMode) -> Sequence[Merged]:
        """See ``MemoryStore.merge``."""
        return await self._store().merge(records, mode=mode)

    async def commit(self, change: Change) -> int | None:
        """See ``MemoryStore.commit``."""
        return await self._store().commit(change)

    @property
    def state(self) -> StateStore:
        """See ``MemoryStore.state``; until the store is open, every call of it raises why it is not."""
        return DeferredState(lambda: self._store().state)

    async def count(self, user_id: str | None) -> int:
        """See ``MemoryStore.count``."""
        return await self._store().count(user_id)

    async def check(self) -> None:
        """See ``MemoryStore.check``."""
        await self._store().check()

    async def aclose(self) -> None:
        """End the tries and close the store if it was opened."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._inner is not None:
            await self._inner.aclose()

    def _store(self) -> MemoryStore:
        if self._inner is None:
            raise self._failure(self._reason)
        return self._inner

    async def _open(self) -> None:
        delay = self._max_delay / 8
        while self._inner is None:
            await asyncio.sleep(delay * self._rng.uniform(0.5, 1.0))
            delay = min(2 * delay, self._max_delay)
            await self._try()
        logger.info("the memory store is open")

    async def _try(self) -> None:
        try:
            self._inner = await self._opener()
        except (StoreUnavailable, SchemaMismatch) as error:
            self._note(type(error), str(error))
        except Exception as error:  # noqa: BLE001 - the task must live on, and every call must say what is wrong
            self._note(StoreUnavailable, f"the memory store cannot be opened: unexpected {type(error).__name__}")

    def _note(self, failure: type[StoreUnavailable | SchemaMismatch], reason: str) -> None:
        if reason != self._reason:
            logger.warning("the memory store still cannot be opened: %s", reason)
        self._failure, self._reason = failure, reason
