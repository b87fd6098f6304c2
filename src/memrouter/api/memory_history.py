"""What happened to a memory, as clients see it."""

from collections.abc import Sequence

from pydantic import BaseModel

from memrouter.api.memory_views import MemoryView, Moment
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord


class HistoryEntryView(BaseModel):
    """One thing that happened to a memory."""

    at: Moment
    event: Event
    actor: Actor
    """Who or what did it."""
    rule: str | None
    """By which rule or why."""
    ref: str | None
    """Another memory, or a conversation, that has to do with it."""


class HistoryView(BaseModel):
    """What happened to a memory."""

    id: str
    history: list[HistoryEntryView]
    """Oldest first, beginning with how it came to be written."""
    chain: list[MemoryView]
    """The memory with those that it replaced and those that replaced it, in the order of their creation."""

    @classmethod
    def of(cls, memory_id: str, entries: Sequence[HistoryEntry], chain: Sequence[MemoryRecord]) -> "HistoryView":
        """Return the view of a history."""
        return cls(
            id=memory_id,
            history=[HistoryEntryView.model_validate(entry, from_attributes=True) for entry in entries],
            chain=[MemoryView.of(record) for record in chain],
        )
