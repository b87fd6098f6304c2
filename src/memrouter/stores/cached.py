"""A store whose search answers are kept in a hot cache, and that never gives one that a write has outdated."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from memrouter.config.memory import RedisCacheSettings
from memrouter.models.memory import MemoryRecord, Scope, owner_key
from memrouter.stores.base import Capabilities, MemoryStore
from memrouter.stores.cache_key import owner_cache_key, question_digest
from memrouter.stores.cache_server import Slot
from memrouter.stores.cache_value import MAX_VALUE_BYTES, HeldAnswer, least_bytes, pack, unpack
from memrouter.stores.hot_cache import CacheObserver, HotCache
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

INLINE_BYTES: Final = 128 * 1024
"""Values up to this size are packed and unpacked in the event loop: about 0.5 ms."""


class CachedStore:
    """Satisfies ``MemoryStore``; behaves as ``inner`` does.

    A kept answer carries the owner's generation that it was read at, and is given only after ``inner`` has said, in
    the same search, that this generation still stands. So a write that returned is seen at once, whichever router
    made it and whether or not the cache could be reached: a hit costs one read of the cache and the store's cheapest
    round trip, and saves reading the memories. Writes drop the owner's answers besides, so that a forgotten text does
    not stay in the cache; where the cache cannot be reached then, it is gone when the time to live has passed.

    ``access_count`` and ``last_accessed`` of a kept answer are those of when it was read. A search with
    ``known_generation`` goes to ``inner`` alone: the caller holds an answer already.

    Args:
        inner: The store that does the work; closed with this one.
        cache: Keeps the answers; closed with this one.
        settings: ``redis_cache``.
        name: Of the store, from ``store_name``; stores that share a cache server must differ in it.
        observer: Is told how each search went.
    """

    def __init__(
        self,
        inner: MemoryStore,
        cache: HotCache,
        settings: RedisCacheSettings,
        *,
        name: str,
        observer: CacheObserver,
    ) -> None:
        self._inner = inner
        self._cache = cache
        self._prefix = settings.key_prefix
        self._name = name
        self._observer = observer

    @property
    def capabilities(self) -> Capabilities:
        """Return what the inner store is."""
        return self._inner.capabilities

    async def create(self, records: Sequence[MemoryRecord], *, unique_content: bool = False) -> list[str]:
        """See ``MemoryStore.create``."""
        async with self._writing(*{owner_key(record.user_id) for record in records}):
            return await self._inner.create(records, unique_content=unique_content)

    async def get(self, scope: Scope, ids: Sequence[str], *, now: int) -> list[MemoryRecord]:
        """See ``MemoryStore.get``."""
        return await self._inner.get(scope, ids, now=now)

    async def list(self, scope: Scope, query: ListQuery) -> Page:
        """See ``MemoryStore.list``."""
        return await self._inner.list(scope, query)

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        """See ``MemoryStore.search``."""
        if query.known_generation is not None:
            return await self._inner.search(scope, query)
        key = owner_cache_key(self._prefix, scope.owner)
        digest = question_digest(self._name, self.capabilities, scope, query)
        slot = await self._cache.read(key, digest)
        if slot is None:
            self._observer.cache_search("unavailable")
            return await self._inner.search(scope, query)
        held = await _unpacked(slot, scope, digest)
        kept = None if held is None else held.at(query.now)
        if kept is None:
            self._observer.cache_search("miss")
            answer = await self._inner.search(scope, query)
        else:
            answer = await self._inner.search(scope, replace(query, known_generation=kept.generation))
            self._observer.cache_search("hit" if answer.unchanged else "stale")
            if answer.unchanged:
                return kept
        await self._keep(answer, scope, key=key, digest=digest, read_at=query.now, epoch=slot.epoch)
        return answer

    async def touch(self, scope: Scope, ids: Sequence[str], *, now: int) -> int:
        """See ``MemoryStore.touch``; kept answers stand, as the generation does."""
        return await self._inner.touch(scope, ids, now=now)

    async def delete(self, scope: Scope, where: Filter) -> int:
        """See ``MemoryStore.delete``."""
        async with self._writing(scope.owner):
            return await self._inner.delete(scope, where)

    async def stats(self, scope: Scope, *, now: int) -> ScopeStats:
        """See ``MemoryStore.stats``."""
        return await self._inner.stats(scope, now=now)

    def scan(self, query: ScanQuery) -> AsyncIterator[ScanPage]:
        """See ``MemoryStore.scan``."""
        return self._inner.scan(query)

    async def merge(self, records: Sequence[MemoryRecord], *, mode: MergeMode) -> Sequence[Merged]:
        """See ``MemoryStore.merge``."""
        async with self._writing(*{owner_key(record.user_id) for record in records}):
            return await self._inner.merge(records, mode=mode)

    async def commit(self, change: Change) -> int | None:
        """See ``MemoryStore.commit``."""
        async with self._writing(owner_key(change.user_id)):
            return await self._inner.commit(change)

    @property
    def state(self) -> StateStore:
        """Return the inner store's; nothing of it is cached."""
        return self._inner.state

    async def count(self, user_id: str | None) -> int:
        """See ``MemoryStore.count``."""
        return await self._inner.count(user_id)

    async def check(self) -> None:
        """See ``MemoryStore.check``; a cache that is down does not count."""
        await self._inner.check()

    async def aclose(self) -> None:
        """Close the cache and the inner store."""
        try:
            await self._cache.aclose()
        finally:
            await self._inner.aclose()

    async def _keep(
        self, answer: Candidates, scope: Scope, *, key: str, digest: str, read_at: int, epoch: bytes
    ) -> None:
        size = least_bytes(answer)
        if size > MAX_VALUE_BYTES:
            return
        if size <= INLINE_BYTES:
            value = pack(answer, scope, digest=digest, read_at=read_at)
        else:
            value = await asyncio.to_thread(pack, answer, scope, digest=digest, read_at=read_at)
        if value is not None:
            await self._cache.write(key, digest, value, epoch=epoch)

    @asynccontextmanager
    async def _writing(self, *owners: str) -> AsyncIterator[None]:
        """Drop the owners' answers once the write has ended, however it did: a write that failed may have been made."""
        try:
            yield
        finally:
            await asyncio.gather(*(self._cache.drop(owner_cache_key(self._prefix, owner)) for owner in owners))


async def _unpacked(slot: Slot, scope: Scope, digest: str) -> HeldAnswer | None:
    if slot.value is None:
        return None
    if len(slot.value) <= INLINE_BYTES:
        return unpack(slot.value, scope, digest=digest)
    return await asyncio.to_thread(unpack, slot.value, scope, digest=digest)
