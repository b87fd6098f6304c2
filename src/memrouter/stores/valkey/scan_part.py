"""What one step of a scan saw of one owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from memrouter.models.memory import MemoryRecord
from memrouter.stores.position import Position

_AGE = attrgetter("created_at", "id")


@dataclass(frozen=True, slots=True)
class Part:
    """Some of an owner's memories, oldest first.

    Attributes:
        records: The memories.
        end: The last one that was looked at; None if there was none.
        more: Whether there may be more behind ``end``.
    """

    records: Sequence[MemoryRecord]
    end: Position | None
    more: bool

    def joined(self, other: "Part") -> "Part":
        """Return both in one, up to where both are known; a memory in both is taken from ``other``."""
        bound = min((part.end for part in (self, other) if part.more and part.end is not None), default=None)
        end = bound or max((part.end for part in (self, other) if part.end is not None), default=None)
        once = {record.id: record for record in (*self.records, *other.records)}
        ordered = sorted(once.values(), key=_AGE)
        if bound is not None:
            ordered = [record for record in ordered if _AGE(record) <= (bound.created_at, bound.id)]
        return Part(ordered, end, more=bound is not None)
