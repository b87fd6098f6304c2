"""How well a memory holds: the forgetting curve, and which memories are the weakest. Pure.

A memory's strength is ``S = initial_strength_days + access_count``, its retention ``R = exp(-t / S)`` with t the days
since it was last seen, and what decides is its standing ``R * (0.5 + importance)``: importance 0.5 is neutral, 1 counts
half as much again, 0 half. With 30 days and a threshold of 0.15, a memory that was never needed goes after 36 days at
importance 0, 57 at 0.5 and 69 at 1; each time that it is needed begins these days anew and adds a day of strength.
"""

import heapq
import math
from collections.abc import Sequence
from typing import Final

from memrouter.config.keeping import QualitySettings
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord

DAY_MS: Final = 86_400_000
NEUTRAL_IMPORTANCE: Final = 0.5


def last_seen(record: MemoryRecord) -> int:
    """Return when somebody last had to do with a memory, in milliseconds since the epoch.

    That is the latest of its creation, its last change, its last access and what its history tells, such as when it
    was imported or restored. Being consolidated does not count: upkeep is not use.
    """
    told = (entry.at for entry in record.history if entry.actor is not Actor.CONSOLIDATION)
    return max(record.created_at, record.updated_at, record.last_accessed or 0, *told)


def retention(record: MemoryRecord, *, now: int, settings: QualitySettings, since: int = 0) -> float:
    """Return R, 0 to 1: how much of a memory is left.

    Args:
        record: The memory.
        now: Milliseconds since the epoch.
        settings: Initial strength.
        since: Days before this moment do not count, in milliseconds since the epoch.
    """
    return math.exp(-_lapse(record, now, settings, since))


def standing(record: MemoryRecord, *, now: int, settings: QualitySettings, since: int = 0) -> float:
    """Return R weighted by importance, 0 to 1.5: what is held against ``prune_threshold``; see ``retention``."""
    return retention(record, now=now, settings=settings, since=since) * _weight(record)


def weakest(records: Sequence[MemoryRecord], count: int, *, now: int, settings: QualitySettings) -> list[MemoryRecord]:
    """Return the memories that have to make room first, the weakest first; of equal ones the oldest.

    Args:
        records: Memories of one user.
        count: How many are wanted; fewer come where too few are not pinned, none where it is below 1.
        now: Milliseconds since the epoch.
        settings: Initial strength.
    """

    def order(record: MemoryRecord) -> tuple[float, int, str]:
        # The logarithm of the standing: of two that are as good as gone, the one gone longer still comes first.
        return math.log(_weight(record)) - _lapse(record, now, settings), record.created_at, record.id

    return heapq.nsmallest(count, (record for record in records if not record.pinned), key=order)


def _lapse(record: MemoryRecord, now: int, settings: QualitySettings, since: int = 0) -> float:
    days = max(0, now - max(since, last_seen(record))) / DAY_MS
    return days / (settings.initial_strength_days + record.access_count)


def _weight(record: MemoryRecord) -> float:
    return 1 - NEUTRAL_IMPORTANCE + record.importance
