"""Moves all memories to another store while the router serves, and lets reads go there once that is safe."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from memrouter.clock import Clock
from memrouter.errors import MemoryConflict, MemrouterError, SchemaMismatch, StoreError, StoreUnavailable
from memrouter.stores.base import MemoryStore
from memrouter.stores.joined import Pair, joined
from memrouter.stores.migrating import MigratingStore
from memrouter.stores.mirror import Mirror, NotKept
from memrouter.stores.query import ScanQuery
from memrouter.transfer.strangers import Strangers, require_no_strangers

logger = logging.getLogger(__name__)

MAX_DELAY_SECONDS: Final = 5.0
BLOCKED_SECONDS: Final = 30.0
"""How long until the new store is looked at again after it held memories of its own."""
LEAST_REST_SECONDS: Final = 0.02
MAX_REST_SECONDS: Final = 0.05
SCAN_PAGE: Final = 200


class Phase(StrEnum):
    """How far a migration is."""

    WAITING = "waiting"
    """The new store has not been reached yet."""
    BLOCKED = "blocked"
    """The new store holds memories that are none of the old one's; nothing is written to it."""
    COPYING = "copying"
    VERIFYING = "verifying"
    """Everybody is in the new store, and is compared once more."""
    SWITCHED = "switched"
    """Reads go to the new store."""


PHASES: Final = tuple(Phase)


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """How far a migration is; holds no name of a place, user or text.

    Attributes:
        phase: What is being done.
        copied: Memories dealt with in this phase.
        total: Memories in the old store when the phase began.
        dirty: Owners whose last writes have yet to be compared.
        failures: How often something could not be carried over and had to be tried again.
        last_error: What went wrong last; empty where nothing is wrong now.
    """

    phase: Phase
    copied: int
    total: int
    dirty: int
    failures: int
    last_error: str


class LiveMigration:
    """The work in the background behind a ``MigratingStore``.

    Everybody is compared and mended, owner by owner, then compared once more, and so are the small facts beside the
    memories; then reads may go to the new store.
    The new store is the only record of how far the work is: after a restart whoever is equal already is only
    compared, and nothing is read from the new store before everybody was. Several routers may do this at once.

    Nothing is written to the new store before a look at both has shown that it holds nothing of its own.

    Args:
        old: What is moved; only read.
        new: Where it goes.
        mirror: Of these two.
        store: What the router uses.
        rate: Most memories that are read in a second.
        overwrite: Whether memories that only the new store holds may be removed, however many and however new.
        clock: Times the work.
        rng: Spreads the tries of several routers.
        max_delay: Most seconds between two tries.
    """

    def __init__(
        self,
        *,
        old: MemoryStore,
        new: MemoryStore,
        mirror: Mirror,
        store: MigratingStore,
        rate: int,
        overwrite: bool,
        clock: Clock,
        rng: random.Random,
        max_delay: float = MAX_DELAY_SECONDS,
    ) -> None:
        self._old = old
        self._new = new
        self._mirror = mirror
        self._store = store
        self._rate = rate
        self._overwrite = overwrite
        self._clock = clock
        self._rng = rng
        self._max_delay = max_delay
        self._phase = Phase.WAITING
        self._copied = 0
        self._total = 0
        self._moving_trouble = ""
        self._settling_trouble = ""
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def status(self) -> MigrationStatus:
        """Return how far the work is."""
        trouble = self._moving_trouble or self._settling_trouble
        return MigrationStatus(
            self._phase, self._copied, self._total, self._mirror.dirty, self._mirror.failures, trouble
        )

    async def check(self) -> None:
        """Say what hinders the work.

        Raises:
            StoreUnavailable: Something does; the router serves from the old store meanwhile.
        """
        if trouble := self.status.last_error:
            raise StoreUnavailable(trouble)

    def start(self) -> None:
        """Begin; needs a running event loop."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._migrate()), loop.create_task(self._settle())]

    async def aclose(self, *, seconds: float = 0.0) -> None:
        """Stop, and take up to ``seconds`` to bring over what was written; calling it again does nothing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        with suppress(TimeoutError, MemrouterError):
            async with asyncio.timeout(seconds):
                await self._store.facts.settle()
                for user_id in self._mirror.doubtful():
                    await self._mirror.sync(user_id)

    async def _migrate(self) -> None:
        """Copy, verify and switch; begin again whenever reads had to go back to the old store."""
        delay, examined, copied = self._first_delay, False, False
        while True:
            try:
                if not examined:
                    await self._examine()
                    examined = True
                self._mirror.start()
                if not copied:
                    await self._pass(Phase.COPYING)
                    copied = True
                await self._pass(Phase.VERIFYING)
                await self._compare_counts()
                await self._store.facts.sync()
                if not self._mirror.started:
                    continue
                self._switch()
                delay = self._first_delay
                await self._store.left.wait()
                self._phase = Phase.VERIFYING
                self._hindered("the new store failed; reads go to the old one until it is verified again")
            except Strangers as finding:
                self._phase = Phase.BLOCKED
                self._hindered(str(finding))
                delay = BLOCKED_SECONDS
            except Exception as error:  # noqa: BLE001 - whatever went wrong, the work is to be taken up again
                self._hindered(described(error))
            await asyncio.sleep(delay * self._rng.uniform(0.5, 1.0))
            delay = min(2 * delay, self._max_delay)

    async def _settle(self) -> None:
        """Compare those who were written to, for as long as the router runs."""
        delay = self._first_delay
        while True:
            await self._mirror.wake.wait()
            self._mirror.wake.clear()
            if not self._mirror.started:
                self._store.leave()
                continue
            if await self._settled():
                delay = self._first_delay
            else:
                await asyncio.sleep(delay * self._rng.uniform(0.5, 1.0))
                delay = min(2 * delay, self._max_delay)
            if self._mirror.dirty or self._store.facts.dirty or self._settling_trouble:
                self._mirror.wake.set()
                await asyncio.sleep(0)

    async def _examine(self) -> None:
        """See whether the new store holds memories that are none of the old one's.

        Raises:
            Strangers: It does, and they may not be removed.
        """
        await self._new.check()
        if self._overwrite or not await self._new.count(None):
            return
        await require_no_strangers(self._old, self._new, self._pairs())

    async def _pass(self, phase: Phase) -> None:
        """Compare and mend everybody whom either store knows.

        Raises:
            StoreError: A store failed, or somebody could not be brought over.
        """
        self._phase, self._copied, self._total = phase, 0, await self._old.count(None)
        logger.info("memory migration: %s %d memories", phase, self._total)
        refused: StoreError | None = None
        async for user_id, memories in _owners(self._pairs()):
            try:
                await self._mirror.sync(user_id)
            except StoreUnavailable:
                raise
            except StoreError as error:  # of this owner alone: the others are to be brought over in any case
                refused = error
            self._copied += memories
        if refused is not None:
            raise refused

    async def _compare_counts(self) -> None:
        """See that both stores hold equally many memories, as far as that can be told while they are written to.

        Raises:
            NotKept: They do not.
        """
        for _ in range(3):
            if self._mirror.dirty:
                return
            if await self._old.count(None) == await self._new.count(None):
                return
        if not self._mirror.dirty:
            raise NotKept("the new store does not hold as many memories as the old one")

    def _switch(self) -> None:
        self._phase, self._moving_trouble = Phase.SWITCHED, ""
        self._copied = self._total
        self._store.switch()
        logger.info("memory migration: everything is in the new store; reads go there from now on")

    async def _settled(self) -> bool:
        """Compare everybody who is doubtful now; return whether nothing went wrong."""
        trouble = ""
        for user_id in self._mirror.doubtful():
            begun = self._clock.monotonic()
            try:
                await self._mirror.sync(user_id)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, the work is to be taken up again
                trouble = described(error)
                if isinstance(error, StoreUnavailable):
                    break
            await asyncio.sleep(min(MAX_REST_SECONDS, self._clock.monotonic() - begun))
        try:
            await self._store.facts.settle()
        except Exception as error:  # noqa: BLE001 - as above
            trouble = described(error)
        self._settling_trouble = trouble
        return not trouble

    async def _pairs(self) -> AsyncIterator[Pair]:
        """Give everything in both stores, no faster than may be."""
        query, due = ScanQuery(page=SCAN_PAGE), self._clock.monotonic()
        async for pair in joined(self._old.scan(query), self._new.scan(query)):
            yield pair
            now = self._clock.monotonic()
            due = max(due + 1 / self._rate, now)
            if due - now > LEAST_REST_SECONDS:
                await asyncio.sleep(due - now)

    @property
    def _first_delay(self) -> float:
        return self._max_delay / 16

    def _hindered(self, trouble: str) -> None:
        if trouble != self._moving_trouble:
            logger.warning("memory migration: %s", trouble)
        self._moving_trouble = trouble


def described(error: Exception) -> str:
    """Return what went wrong without the name of a place, a user or a text."""
    match error:
        case NotKept():
            return str(error)
        case StoreUnavailable():
            return "a store cannot be reached"
        case SchemaMismatch():
            return "the new store does not take vectors of this model or dimension"
        case MemoryConflict():
            return "a memory's id belongs to another user in the new store"
        case _:
            return f"unexpected {type(error).__name__}"


async def _owners(pairs: AsyncIterator[Pair]) -> AsyncIterator[tuple[str, int]]:
    """Give each owner once, after the last pair, with the number of memories on the left side."""
    user_id, memories = None, 0
    async for pair in pairs:
        if user_id is not None and pair.user_id != user_id:
            yield user_id, memories
            memories = 0
        user_id = pair.user_id
        memories += pair.left is not None
    if user_id is not None:
        yield user_id, memories
