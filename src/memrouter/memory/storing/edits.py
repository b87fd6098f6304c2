"""Changing a user's memories by what is kept already: read, plan, commit; again where another write came between."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Generic, TypeVar
from weakref import WeakValueDictionary

from memrouter.errors import StoreUnavailable
from memrouter.memory.storing.outlines import Outlines
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import NOTHING_HELD, Change, StoreQuery

T = TypeVar("T")

ATTEMPTS: Final = 24
"""How often a change is planned anew before it is given up."""
PAUSE_SECONDS: Final = 0.02
"""Longest pause before the second try; twice as long before each further one, up to ``MAX_PAUSE_SECONDS``."""
MAX_PAUSE_SECONDS: Final = 0.25
"""Longest pause of all: whoever waits longer than the others never gets between them."""
TOLD_SECONDS: Final = 0.05
"""Longest that a reader waits for a change to be told: a store that hangs must not hold up what it has not locked."""


@dataclass(frozen=True, slots=True)
class Plan(Generic[T]):
    """What is to be changed, and what the caller gets for it.

    Attributes:
        result: For the caller, once the change is made.
        put: See ``Change``.
        remove: See ``Change``.
    """

    result: T
    put: Sequence[MemoryRecord] = ()
    remove: frozenset[str] = frozenset()


class OwnerEdits:
    """Makes changes that depend on what is kept. Those of one owner take turns within this process.

    Args:
        store: Where.
        rng: Spreads the tries of several routers.

    Attributes:
        outlines: What is known of the owners that were written to last.
    """

    def __init__(self, store: MemoryStore, *, rng: Random) -> None:
        self._store = store
        self._rng = rng
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._watchers: list[Callable[[Change, int], None]] = []
        self._under_way: dict[str, asyncio.Future[None]] = {}
        self.outlines = Outlines()

    def watch(self, watcher: Callable[[Change, int], None]) -> None:
        """Have every change that is made here told, with the owner's generation since; the watcher must not wait."""
        self._watchers.append(watcher)

    async def told(self, user_id: str) -> None:
        """Wait until the change of a user's memories that is being made has been told, or has failed.

        In between, the store holds what the watchers do not know of yet: who reads then reads everything anew.
        """
        under_way = self._under_way.get(user_id)
        if under_way is not None:
            await asyncio.wait((under_way,), timeout=TOLD_SECONDS)

    async def apply(self, user_id: str, plan: Callable[[], Awaitable[Plan[T]]]) -> T:
        """Make a change and return its plan's result.

        Args:
            user_id: Whose memories.
            plan: Reads what it needs and says what to change; called again where the owner was written to meanwhile,
                so it must have no effect of its own. Where it changes nothing, nothing is written.

        Raises:
            StoreUnavailable: The store failed, or others wrote to this owner without a pause.
        """
        return await self._apply(user_id, lambda _: plan(), known=lambda _: None)

    async def apply_at(self, user_id: str, plan: Callable[[int], Awaitable[Plan[T]]]) -> T:
        """Do as ``apply``; the plan is given the owner's generation at which it is to be good.

        That of an outline is taken to stand, without asking the store: where another router wrote meanwhile, the store
        refuses the change, and the plan is called again. So a plan that changes nothing must be good at any generation.
        """
        return await self._apply(user_id, plan, known=self.outlines.generation)

    async def _apply(
        self, user_id: str, plan: Callable[[int], Awaitable[Plan[T]]], *, known: Callable[[str], int | None]
    ) -> T:
        lock = self._locks.setdefault(user_id, asyncio.Lock())
        async with lock:
            for attempt in range(ATTEMPTS):
                generation = known(user_id)
                if generation is None:
                    generation = await self.generation(user_id)
                planned = await plan(generation)
                if not planned.put and not planned.remove:
                    return planned.result
                change = Change(user_id, after=generation, put=planned.put, remove=planned.remove)
                if await self._committed(change):
                    return planned.result
                self.outlines.outdated(user_id)
                await asyncio.sleep(min(MAX_PAUSE_SECONDS, PAUSE_SECONDS * 2**attempt) * self._rng.random())
        raise StoreUnavailable("this user's memories are being changed without a pause; try again later")

    async def _committed(self, change: Change) -> bool:
        """Make a change and have it told; return whether the owner's generation still stood."""
        under_way = self._under_way[change.user_id] = asyncio.get_running_loop().create_future()
        try:
            made = await self._store.commit(change)
            if made is not None:
                self._tell(change, made)
            return made is not None
        finally:
            del self._under_way[change.user_id]
            under_way.set_result(None)

    def _tell(self, change: Change, generation: int) -> None:
        self.outlines.changed(change, generation)
        for watcher in self._watchers:
            watcher(change, generation)

    async def outdate(self, user_id: str) -> None:
        """Have every change fail that was planned before now and is not made yet."""
        await self._store.commit(Change(user_id, after=await self.generation(user_id)))

    async def generation(self, user_id: str) -> int:
        """Return the number that every write to the user's memories raises."""
        query = StoreQuery(vector=None, k=1, now=0, known_generation=NOTHING_HELD)
        answer = await self._store.search(Scope(user_id, None), query)
        return answer.generation
