"""The memory store with all that is wrapped around it."""

from typing import Final

from memrouter.embeddings.base import EmbedderInfo
from memrouter.jobs.pressure_gauge import PressureGauge
from memrouter.stores.base import Capabilities, MemoryStore
from memrouter.stores.cache_key import store_name
from memrouter.stores.cache_server import ValkeyCacheServer
from memrouter.stores.cached import CachedStore
from memrouter.stores.deferred import open_or_defer
from memrouter.stores.factory import open_store
from memrouter.stores.hot_cache import HotCache
from memrouter.stores.instrumented import instrumented
from memrouter.transfer.live_migration import PHASES, LiveMigration
from memrouter.transfer.open_migration import open_migration
from memrouter.wiring.foundation import Foundation

_SETTLE_SECONDS: Final = 1.0
"""Longest that a live migration takes to stop."""


async def open_memory_store(base: Foundation, info: EmbedderInfo) -> tuple[MemoryStore, LiveMigration | None]:
    """Return the store, counted, behind the hot cache where one is configured; and its move to another, if one is on.

    Args:
        base: What it is built on; closes it.
        info: Of the embedder whose vectors it keeps.

    Raises:
        ConfigError: The store cannot be built as configured.
        StoreError: It cannot be opened.
    """
    gauge = PressureGauge(base.metrics)
    opened = await _open(base, info, gauge)
    base.closing.push_async_callback(opened.aclose)
    base.closing.push_async_callback(gauge.aclose)
    moving, migration = await _migrating(base, opened, info)
    cached = await _cached(base, moving)
    if migration is not None:
        base.closing.push_async_callback(migration.aclose, seconds=_SETTLE_SECONDS)
        migration.start()
    return instrumented(cached, observer=base.metrics, clock=base.clock), migration


async def _open(base: Foundation, info: EmbedderInfo, gauge: PressureGauge) -> MemoryStore:
    """Return the store; one on a server that is not there yet opens when it is."""
    memory = base.settings.memory

    async def opened() -> MemoryStore:
        store = await open_store(memory, dimension=info.dimension, embedding_model=info.model)
        gauge.follow(store)
        return store

    backend = memory.effective_backend
    if backend == "sqlite":
        return await opened()
    promised = Capabilities(backend, info.dimension, info.model, exact=False)
    return await open_or_defer(opened, capabilities=promised, rng=base.rng)


async def _migrating(
    base: Foundation, old: MemoryStore, info: EmbedderInfo
) -> tuple[MemoryStore, LiveMigration | None]:
    """Return ``old``, or, where its memories move, the store that stands for both and the work of moving."""
    memory, target = base.settings.memory, base.settings.memory.migration_target
    if memory.migration is None or target is None:
        return old, None
    store, work = await open_migration(old, memory.migration, target, info=info, clock=base.clock, rng=base.rng)
    base.closing.push_async_callback(store.aclose)
    base.metrics.watch_migration(
        phase=lambda: PHASES.index(work.status.phase),
        copied=lambda: work.status.copied,
        remaining=lambda: work.status.total - work.status.copied,
        dirty=lambda: work.status.dirty,
        failures=lambda: work.status.failures,
    )
    return store, work


async def _cached(base: Foundation, inner: MemoryStore) -> MemoryStore:
    """Return ``inner`` behind the hot cache where one is configured."""
    memory, cache = base.settings.memory, base.settings.memory.redis_cache
    if not cache.enabled:
        return inner
    server = await ValkeyCacheServer.open(cache)
    hot = HotCache(server, observer=base.metrics, clock=base.clock)
    name = store_name(memory, run=f"{base.rng.getrandbits(128):032x}")
    store = CachedStore(inner, hot, cache, name=name, observer=base.metrics)
    base.closing.push_async_callback(store.aclose)
    return store
