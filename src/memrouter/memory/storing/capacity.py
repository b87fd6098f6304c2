"""How many memories a user may have: who makes room, and whether there is any."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from memrouter.config.keeping import QualitySettings
from memrouter.memory.storing.audit import audit
from memrouter.memory.storing.edits import OwnerEdits, Plan
from memrouter.memory.storing.observer import WriteObserver
from memrouter.memory.upkeep.strength import weakest
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import ScanQuery

NO_EVICTION: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Room:
    """How room is made.

    Attributes:
        evicted: Ids of the memories that leave.
        short: How many of the new ones still find none, since all that is kept is pinned.
    """

    evicted: frozenset[str] = NO_EVICTION
    short: int = 0


class Capacity:
    """Keeps every user within ``max_memories_per_user`` visible memories, over all projects.

    Args:
        store: Where.
        settings: The cap, and what makes a memory weak.
    """

    def __init__(self, store: MemoryStore, settings: QualitySettings) -> None:
        self._store = store
        self._settings = settings

    async def room(
        self,
        user_id: str,
        adding: int,
        *,
        now: int,
        gone: Collection[str] = (),
        spared: Collection[str] = (),
        at_most: int | None = None,
    ) -> Room:
        """Return what has to leave for ``adding`` more visible memories; changes nothing.

        The owner is read only where the cheaper figures do not say already that there is room.

        Args:
            user_id: Whose memories.
            adding: How many more there will be.
            now: Milliseconds since the epoch.
            gone: Visible memories that will not be any more.
            spared: Memories that are changed in the same step, so that they cannot leave.
            at_most: How many there are at most, hidden ones too; None where that is not known.
        """
        cap = self._settings.max_memories_per_user
        if at_most is not None and at_most + adding <= cap:
            return Room()
        if await self._store.count(user_id) + adding <= cap:
            return Room()
        if (await self._store.stats(Scope(user_id, None), now=now)).total + adding - len(gone) <= cap:
            return Room()
        kept = await self._kept(user_id)
        visible = [record for record in kept if record.visible(now) and record.id not in gone]
        over = len(visible) + adding - cap
        free = [record for record in visible if record.id not in spared]
        evicted = {record.id for record in weakest(free, over, now=now, settings=self._settings)}
        return Room(_with_replaced(evicted, kept) - frozenset(spared), max(0, over - len(evicted)))

    async def trim(self, user_id: str, *, edits: OwnerEdits, observer: WriteObserver, now: int) -> int:
        """Remove what is over the cap, as after an import; return how many were removed."""

        async def plan() -> Plan[frozenset[str]]:
            room = await self.room(user_id, 0, now=now)
            return Plan(room.evicted, remove=room.evicted)

        evicted = await edits.apply(user_id, plan)
        if evicted:
            observer.evicted(len(evicted))
            audit("evicted", user_id, evicted, actor=Actor.ROUTER, rule="max_memories_per_user")
        return len(evicted)

    async def _kept(self, user_id: str) -> Sequence[MemoryRecord]:
        return [record async for page in self._store.scan(ScanQuery(user_id=user_id)) for record in page.records]


def _with_replaced(evicted: set[str], kept: Sequence[MemoryRecord]) -> frozenset[str]:
    """Return ids with those of what these memories replaced, which was kept only so that it could be undone."""
    gone = frozenset(evicted)
    while more := {record.id for record in kept if record.superseded_by in gone} - gone:
        gone |= more
    return gone
