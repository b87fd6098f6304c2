"""A user's profile: the facts that hold best."""

import asyncio
from collections.abc import Sequence
from typing import Final

from memrouter.clock import Clock
from memrouter.config.keeping import QualitySettings
from memrouter.memory.hits import Hit
from memrouter.memory.reflection.reflect import ReflectionFilter
from memrouter.memory.service import MemoryService
from memrouter.memory.upkeep.strength import standing
from memrouter.models.memory import MemoryRecord, MemoryType, Scope

MOST_FACTS: Final = 50
"""Most memories of a profile; their tokens are bounded like those of an injection."""
MOST_READ: Final = 2000
"""Most facts, the newest ones, among which the strongest are chosen."""

_FACTS: Final = frozenset({MemoryType.SEMANTIC, MemoryType.PROCEDURAL})
_PAGE: Final = 500
_BEST: Final = 1.5
"""The highest standing."""


class MemoryProfile:
    """Chooses what tells most about a user: pinned facts first, then the strongest.

    Args:
        service: Lists memories.
        settings: How memories fade.
        reflection: The filter that memories pass on their way into a prompt.
        clock: Tells the time.
    """

    def __init__(
        self, service: MemoryService, *, settings: QualitySettings, reflection: ReflectionFilter, clock: Clock
    ) -> None:
        self._service = service
        self._settings = settings
        self._reflection = reflection
        self._clock = clock

    async def facts(self, scope: Scope) -> Sequence[MemoryRecord]:
        """Return the user's facts and habits, the strongest first; what repeats a stronger one is left out."""
        now = self._clock.now_ms()
        records = await self._read(scope)
        chosen = await asyncio.to_thread(strongest, records, now=now, settings=self._settings)
        kept = {hit.record.id for hit in (await self._reflection.select(chosen, now=now)).kept}
        return [hit.record for hit in chosen if hit.record.id in kept]

    async def _read(self, scope: Scope) -> Sequence[MemoryRecord]:
        records: list[MemoryRecord] = []
        cursor = None
        while len(records) < MOST_READ:
            page = await self._service.list(scope, types=_FACTS, limit=_PAGE, cursor=cursor)
            records += page.records
            if page.next is None:
                break
            cursor = page.next.encode()
        return records


def strongest(records: Sequence[MemoryRecord], *, now: int, settings: QualitySettings) -> Sequence[Hit]:
    """Return the strongest memories as hits whose score is their strength; pinned ones first. Pure.

    Args:
        records: Memories of one user.
        now: Milliseconds since the epoch.
        settings: How memories fade.
    """

    def hit(record: MemoryRecord) -> Hit:
        score = 1.0 if record.pinned else standing(record, now=now, settings=settings) / _BEST
        return Hit(record, score, 0.0, score)

    ordered = sorted(map(hit, records), key=lambda one: (-one.score, -one.record.created_at, one.record.id))
    return ordered[:MOST_FACTS]
