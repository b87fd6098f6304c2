"""An old and a new store, one of which can be made to fail, and routers that stand between them."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

from memrouter.clock import SystemClock
from memrouter.config.memory import SqliteSettings
from memrouter.errors import StoreUnavailable
from memrouter.stores.base import MemoryStore
from memrouter.stores.joined import Pair, joined
from memrouter.stores.migrating import MigratingStore
from memrouter.stores.mirror import Mirror
from memrouter.stores.query import ScanQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.state import StateStore
from memrouter.transfer.live_migration import LiveMigration, Phase

DIMENSION = 16
MODEL = "test-model"


async def sqlite(path: Path) -> SqliteStore:
    settings = SqliteSettings(path=str(path), synchronous="normal")
    return await SqliteStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)


class Faulty:
    """A store that fails before or after it has done what it was asked, as often as it is told to.

    Attributes:
        inner: The store that does the work.
        rate: Share of the calls that fail, half of them after the work was done.
        down: Whether every call fails before anything is done.
        calls: Names of the methods that were called, each with its number.
    """

    def __init__(self, inner: MemoryStore, rng: random.Random) -> None:
        self.inner = inner
        self._rng = rng
        self.rate = 0.0
        self.down = False
        self.calls: dict[str, int] = {}

    @property
    def store(self) -> MemoryStore:
        return cast("MemoryStore", self)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name in ("capabilities", "aclose"):
            return found
        self.calls[name] = self.calls.get(name, 0) + 1
        return self._scan if name == "scan" else self._call(found)

    @property
    def state(self) -> StateStore:
        return cast("StateStore", FaultyState(self))

    def _call(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def called(*arguments: Any, **options: Any) -> Any:
            self.fail()
            result = await method(*arguments, **options)
            self.fail()
            return result

        return called

    async def _scan(self, query: ScanQuery) -> AsyncIterator[Any]:
        async for page in self.inner.scan(query):
            self.fail()
            yield page

    def fail(self) -> None:
        """Raise as often as the store is to fail."""
        if self.down or (self.rate and self._rng.random() < self.rate / 2):
            raise StoreUnavailable("made to fail")


class FaultyState:
    """The state of a store that fails, which fails as often."""

    def __init__(self, faulty: Faulty) -> None:
        self._faulty = faulty

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._faulty.inner.state, name)

        async def called(*arguments: Any, **options: Any) -> Any:
            self._faulty.fail()
            result = await found(*arguments, **options)
            self._faulty.fail()
            return result

        async def each(*arguments: Any, **options: Any) -> AsyncIterator[Any]:
            async for entry in found(*arguments, **options):
                self._faulty.fail()
                yield entry

        return each if name in ("entries", "spaces") else called


class MovingRouter:
    """The two stores of one router, and that router's part of the migration."""

    def __init__(self, old: Faulty, new: Faulty, *, overwrite: bool = False) -> None:
        self.old, self.new = old, new
        self.mirror = Mirror(old.store, new.store)
        self.store = MigratingStore(old.store, new.store, self.mirror, clock=SystemClock())
        self.work = LiveMigration(
            old=old.store,
            new=new.store,
            mirror=self.mirror,
            store=self.store,
            rate=1_000_000,
            overwrite=overwrite,
            clock=SystemClock(),
            rng=random.Random(1),
            max_delay=0.05,
        )

    async def until(self, phase: Phase) -> None:
        """Wait for a phase; for the last one until nothing is left to compare and nothing is wrong."""
        async with asyncio.timeout(60):
            while not self._is_at(phase):
                await asyncio.sleep(0.01)

    def _is_at(self, phase: Phase) -> bool:
        status = self.work.status
        return status.phase is phase and (
            phase is not Phase.SWITCHED or not (status.dirty or self.store.facts.dirty or status.last_error)
        )


async def moving(stack: AsyncExitStack, folder: Path, *, seed: int = 1, overwrite: bool = False) -> MovingRouter:
    """Return a router whose migration has not begun; a second one over the same folder is another router."""
    old = Faulty(await sqlite(folder / "old.db"), random.Random(seed))
    new = Faulty(await sqlite(folder / "new.db"), random.Random(seed + 1))
    router = MovingRouter(old, new, overwrite=overwrite)
    stack.push_async_callback(router.store.aclose)
    stack.push_async_callback(router.work.aclose)
    return router


async def facts(store: MemoryStore) -> dict[tuple[str, str], tuple[bytes, int | None]]:
    """Return all facts beside the memories, whose versions are each store's own."""
    now = SystemClock().now_ms()
    return {
        (space, entry.key): (entry.value, entry.expires_at)
        async for space in store.state.spaces()
        async for entry in store.state.entries(space, now=now)
    }


async def differences(one: MemoryStore, other: MemoryStore) -> list[Pair]:
    """Return what the stores do not agree on, in any field."""
    query = ScanQuery()
    return [pair async for pair in joined(one.scan(query), other.scan(query)) if not pair.same]
