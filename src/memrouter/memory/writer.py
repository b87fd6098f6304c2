"""Stores what finished turns left to remember; runs behind the queue, after the answer was sent."""

from dataclasses import dataclass

from memrouter.memory.drafts import MemoryDraft
from memrouter.memory.service import MemoryService
from memrouter.models.memory import Scope
from memrouter.observability.metrics import Metrics


@dataclass(frozen=True, slots=True)
class FinishedTurn:
    """What one turn left to remember."""

    scope: Scope
    drafts: tuple[MemoryDraft, ...]


@dataclass(frozen=True, slots=True)
class Accessed:
    """The memories that one answer was given."""

    scope: Scope
    ids: tuple[str, ...]


class TurnWriter:
    """Handlers for the two background queues.

    Args:
        service: Where memories are stored and counted.
        metrics: Counts what was stored.
    """

    def __init__(self, *, service: MemoryService, metrics: Metrics) -> None:
        self._service = service
        self._metrics = metrics

    async def store(self, turn: FinishedTurn) -> None:
        """Store a turn's memories; one whose content is kept already is not stored again."""
        kept = await self._service.remember(turn.scope, turn.drafts)
        self._metrics.stored(len(kept))
        self._metrics.truncated(sum(draft.truncated for draft in turn.drafts))

    async def count(self, accessed: Accessed) -> None:
        """Count one access for each memory."""
        await self._service.count_access(accessed.scope, accessed.ids)
