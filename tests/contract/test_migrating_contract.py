"""Two stores as one keep the contract, before the switch and after it."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from memrouter.clock import SystemClock
from memrouter.config.memory import SqliteSettings
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.migrating import MigratingStore
from memrouter.stores.mirror import Mirror
from memrouter.stores.query import Candidates, ListQuery, Page, ScopeStats, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.store_contract import StoreContract
from memrouter.transfer.live_migration import LiveMigration


async def opened(path: Path) -> SqliteStore:
    settings = SqliteSettings(path=str(path), synchronous="normal")
    return await SqliteStore.open(settings, dimension=24, embedding_model="contract-model")


class SettledStore(MigratingStore):
    """Compares an owner before each read, so that the new store may answer."""

    def __init__(self, old: MemoryStore, new: MemoryStore, mirror: Mirror) -> None:
        super().__init__(old, new, mirror, clock=SystemClock())
        self._settle = mirror.sync

    async def get(self, scope: Scope, ids: Sequence[str], *, now: int) -> list[MemoryRecord]:
        await self._settle(scope.user_id)
        return await super().get(scope, ids, now=now)

    async def list(self, scope: Scope, query: ListQuery) -> Page:
        await self._settle(scope.user_id)
        return await super().list(scope, query)

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        await self._settle(scope.user_id)
        return await super().search(scope, query)

    async def stats(self, scope: Scope, *, now: int) -> ScopeStats:
        await self._settle(scope.user_id)
        return await super().stats(scope, now=now)


@asynccontextmanager
async def migrating(folder: Path) -> AsyncIterator[tuple[SettledStore, LiveMigration]]:
    old, new = await opened(folder / "old.db"), await opened(folder / "new.db")
    mirror, clock = Mirror(old, new), SystemClock()
    mirror.start()
    store = SettledStore(old, new, mirror)
    rng = random.Random(1)
    work = LiveMigration(
        old=old, new=new, mirror=mirror, store=store, rate=1_000_000, overwrite=False, clock=clock, rng=rng
    )
    yield store, work
    await work.aclose()
    await store.aclose()


class TestBeforeTheSwitch(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[MemoryStore]:
        async with migrating(tmp_path) as (store, _):
            yield store


class TestAfterTheSwitch(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[MemoryStore]:
        async with migrating(tmp_path) as (store, work):
            store.switch()
            work.start()
            yield store
