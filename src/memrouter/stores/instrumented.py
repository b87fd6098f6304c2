"""A store that tells an observer how long every call took and how it ended."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from memrouter.clock import Clock
from memrouter.errors import MemoryConflict, SchemaMismatch, StoreUnavailable
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import Capabilities, InstantStore, MemoryStore
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
from memrouter.stores.state import StateEntry, StateStore


class StoreObserver(Protocol):
    """Is told of every store call."""

    def store_operation(self, *, backend: str, operation: str, outcome: str, seconds: float) -> None:
        """Note one call.

        Args:
            backend: Short name of the store.
            operation: Name of the method.
            outcome: ``ok``, ``unavailable``, ``mismatch``, ``conflict``, ``error`` or ``cancelled``.
            seconds: How long it took.
        """
        ...


class InstrumentedStore:
    """Satisfies ``MemoryStore``; behaves as ``inner`` does.

    Args:
        inner: The store that does the work; closed with this one.
        observer: Is told of every call.
        clock: Times the calls.
    """

    def __init__(self, inner: MemoryStore, *, observer: StoreObserver, clock: Clock) -> None:
        self._inner = inner
        self._observer = observer
        self._clock = clock
        self._state = _InstrumentedState(inner, self._observed)

    @property
    def capabilities(self) -> Capabilities:
        """Return what the inner store is."""
        return self._inner.capabilities

    async def create(self, records: Sequence[MemoryRecord], *, unique_content: bool = False) -> list[str]:
        """See ``MemoryStore.create``."""
        async with self._observed("create"):
            return await self._inner.create(records, unique_content=unique_content)

    async def get(self, scope: Scope, ids: Sequence[str], *, now: int) -> list[MemoryRecord]:
        """See ``MemoryStore.get``."""
        async with self._observed("get"):
            return await self._inner.get(scope, ids, now=now)

    async def list(self, scope: Scope, query: ListQuery) -> Page:
        """See ``MemoryStore.list``."""
        async with self._observed("list"):
            return await self._inner.list(scope, query)

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        """See ``MemoryStore.search``."""
        async with self._observed("search"):
            return await self._inner.search(scope, query)

    async def touch(self, scope: Scope, ids: Sequence[str], *, now: int) -> int:
        """See ``MemoryStore.touch``."""
        async with self._observed("touch"):
            return await self._inner.touch(scope, ids, now=now)

    async def delete(self, scope: Scope, where: Filter) -> int:
        """See ``MemoryStore.delete``."""
        async with self._observed("delete"):
            return await self._inner.delete(scope, where)

    async def stats(self, scope: Scope, *, now: int) -> ScopeStats:
        """See ``MemoryStore.stats``."""
        async with self._observed("stats"):
            return await self._inner.stats(scope, now=now)

    async def scan(self, query: ScanQuery) -> AsyncIterator[ScanPage]:
        """See ``MemoryStore.scan``; every page is told as one call, what the caller does between two is not timed."""
        pages = self._inner.scan(query)
        while True:
            async with self._observed("scan"):
                page = await anext(pages, None)
            if page is None:
                return
            yield page

    async def merge(self, records: Sequence[MemoryRecord], *, mode: MergeMode) -> Sequence[Merged]:
        """See ``MemoryStore.merge``."""
        async with self._observed("merge"):
            return await self._inner.merge(records, mode=mode)

    async def commit(self, change: Change) -> int | None:
        """See ``MemoryStore.commit``."""
        async with self._observed("commit"):
            return await self._inner.commit(change)

    @property
    def state(self) -> StateStore:
        """Return the inner store's, whose ``get`` is told as ``state_get``, and so on."""
        return self._state

    async def count(self, user_id: str | None) -> int:
        """See ``MemoryStore.count``."""
        async with self._observed("count"):
            return await self._inner.count(user_id)

    async def check(self) -> None:
        """See ``MemoryStore.check``."""
        async with self._observed("check"):
            await self._inner.check()

    async def aclose(self) -> None:
        """Close the inner store."""
        await self._inner.aclose()

    @asynccontextmanager
    async def _observed(self, operation: str) -> AsyncIterator[None]:
        begun = self._clock.monotonic()
        outcome = "cancelled"
        try:
            yield
            outcome = "ok"
        except Exception as error:
            outcome = _outcome(error)
            raise
        finally:
            self._tell(operation, outcome, begun)

    def _tell(self, operation: str, outcome: str, begun: float) -> None:
        backend, seconds = self.capabilities.backend, self._clock.monotonic() - begun
        self._observer.store_operation(backend=backend, operation=operation, outcome=outcome, seconds=seconds)


class InstrumentedInstantStore(InstrumentedStore):
    """Satisfies ``InstantStore`` as well.

    Args:
        inner: As for ``InstrumentedStore``, an ``InstantStore``, too.
        instant: The same store.
        observer: As there.
        clock: As there.
    """

    def __init__(self, inner: MemoryStore, instant: InstantStore, *, observer: StoreObserver, clock: Clock) -> None:
        super().__init__(inner, observer=observer, clock=clock)
        self._instant = instant

    def still_stands(self, scope: Scope, generation: int) -> bool | None:
        """See ``InstantStore``; told as the search that it takes the place of, where it does."""
        begun = self._clock.monotonic()
        stands = self._instant.still_stands(scope, generation)
        if stands:
            self._tell("search", "ok", begun)
        return stands


def instrumented(inner: MemoryStore, *, observer: StoreObserver, clock: Clock) -> InstrumentedStore:
    """Return ``inner`` with all of its calls told; an ``InstantStore`` where ``inner`` is one."""
    if isinstance(inner, InstantStore):
        return InstrumentedInstantStore(inner, inner, observer=observer, clock=clock)
    return InstrumentedStore(inner, observer=observer, clock=clock)


class _InstrumentedState:
    """Satisfies ``StateStore``; behaves as that of ``inner`` does."""

    def __init__(self, inner: MemoryStore, observed: Callable[[str], AbstractAsyncContextManager[None]]) -> None:
        self._inner = inner
        self._observed = observed

    async def get(self, space: str, key: str, *, now: int) -> StateEntry | None:
        """See ``StateStore.get``."""
        async with self._observed("state_get"):
            return await self._inner.state.get(space, key, now=now)

    async def put(
        self,
        space: str,
        key: str,
        value: bytes,
        *,
        now: int,
        expires_at: int | None = None,
        if_version: int | None = None,
    ) -> int | None:
        """See ``StateStore.put``."""
        async with self._observed("state_put"):
            return await self._inner.state.put(space, key, value, now=now, expires_at=expires_at, if_version=if_version)

    async def remove(self, space: str, key: str, *, if_version: int | None = None) -> bool:
        """See ``StateStore.remove``."""
        async with self._observed("state_remove"):
            return await self._inner.state.remove(space, key, if_version=if_version)

    def entries(self, space: str, *, now: int) -> AsyncIterator[StateEntry]:
        """See ``StateStore.entries``; is not told."""
        return self._inner.state.entries(space, now=now)

    def spaces(self, prefix: str = "") -> AsyncIterator[str]:
        """See ``StateStore.spaces``; is not told."""
        return self._inner.state.spaces(prefix)

    async def drop(self, space: str) -> None:
        """See ``StateStore.drop``."""
        async with self._observed("state_drop"):
            await self._inner.state.drop(space)


def _outcome(error: Exception) -> str:
    match error:
        case StoreUnavailable():
            return "unavailable"
        case SchemaMismatch():
            return "mismatch"
        case MemoryConflict():
            return "conflict"
        case _:
            return "error"
