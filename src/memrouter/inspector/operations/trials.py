"""Dry runs of pruning and consolidation: what would go or be merged, without any memory's text."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from memrouter.clock import Clock
from memrouter.memory.upkeep.pruning import Leaving
from memrouter.memory.upkeep.report import ConsolidationReport, PruneReport
from memrouter.memory.upkeep.retention import Rule
from memrouter.memory.upkeep.upkeep import Upkeep
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryType, owner_key

MOST_SECONDS: Final = 60.0
"""Longest dry run; it then tells what it saw until then."""
MOST_LISTED: Final = 200
"""Most memories that are listed; all are counted."""
MOST_GROUPS: Final = 200
"""Most groups that consolidation is asked for."""


@dataclass(frozen=True, slots=True)
class Departing:
    """A memory that would go. Holds no text and nobody's name.

    Attributes:
        memory_id: Which.
        owner: Whose, as an owner key.
        type: Kind of knowledge.
        rule: Why.
        days: For how long the rule's reason has stood.
        standing: Retention weighted by importance, 0 to 1.5.
        importance: 0 to 1.
        access_count: How often it was retrieved.
    """

    memory_id: str
    owner: str
    type: MemoryType
    rule: Rule
    days: float
    standing: float
    importance: float
    access_count: int

    @classmethod
    def of(cls, leaving: Leaving) -> "Departing":
        """Return what may be shown of a memory that would go."""
        record, departure = leaving.record, leaving.departure
        return cls(
            memory_id=record.id,
            owner=owner_key(record.user_id),
            type=record.type,
            rule=departure.rule,
            days=departure.days,
            standing=departure.standing,
            importance=record.importance,
            access_count=record.access_count,
        )


@dataclass(frozen=True, slots=True)
class PruneTrial:
    """What pruning would do.

    Attributes:
        owner: Whose memories were looked at, as an owner key; None for everybody's.
        report: How many would go.
        listed: The first ones of them.
    """

    owner: str | None
    report: PruneReport
    listed: list[Departing] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MergeTrial:
    """What consolidation would do; ``owner`` as for ``PruneTrial``."""

    owner: str | None
    report: ConsolidationReport


class TrialPace:
    """Satisfies ``Pace``: half speed while requests are served, and an end.

    Args:
        clock: Tells the time.
        seconds: After them, nobody else's memories are begun.
        busy: Whether requests are being served.
    """

    def __init__(self, *, clock: Clock, seconds: float, busy: Callable[[], bool]) -> None:
        self._clock = clock
        self._busy = busy
        self._rested = clock.monotonic()
        self._until = self._rested + seconds

    async def rest(self) -> None:
        """Let others work; as long as was worked, while requests are served."""
        worked = self._clock.monotonic() - self._rested
        await asyncio.sleep(worked if self._busy() else 0)
        self._rested = self._clock.monotonic()

    async def may_begin(self, position: str | None) -> bool:
        """Return whether there is time left."""
        return self._clock.monotonic() < self._until


async def try_pruning(upkeep: Upkeep, pace: TrialPace, *, user_id: str | None) -> PruneTrial:
    """Return what would go of one user's memories, or of everybody's; changes nothing.

    Raises:
        StoreUnavailable: The store failed.
    """
    listed: list[Departing] = []

    def note(leaving: Leaving) -> None:
        if len(listed) < MOST_LISTED:
            listed.append(Departing.of(leaving))

    report = await upkeep.pruning.run(pace=pace, user_id=user_id, dry_run=True, actor=Actor.OPERATOR, note=note)
    return PruneTrial(_owner(user_id), report, listed)


async def try_consolidation(upkeep: Upkeep, pace: TrialPace, *, user_id: str | None) -> MergeTrial:
    """Return what would be merged of one user's memories, or of everybody's; changes nothing.

    Raises:
        StoreUnavailable: The store failed.
    """
    report = await upkeep.consolidation.run(
        pace=pace, user_id=user_id, most=MOST_GROUPS, dry_run=True, actor=Actor.OPERATOR
    )
    return MergeTrial(_owner(user_id), report)


def _owner(user_id: str | None) -> str | None:
    return None if user_id is None else owner_key(user_id)
