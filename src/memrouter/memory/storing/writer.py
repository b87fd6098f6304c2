"""Stores what finished turns left to remember; runs behind the queue, after the answer was sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from memrouter.memory.service import MemoryService
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.models.memory import Scope
from memrouter.observability.metrics import Metrics


@dataclass(frozen=True, slots=True)
class FinishedTurn:
    """What one turn left to remember."""

    scope: Scope
    drafts: tuple[MemoryDraft, ...]


class TurnWriter:
    """Does what waits behind the queue of finished turns and the tally of accesses.

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

    async def count(self, scope: Scope, ids: Sequence[str]) -> None:
        """Count one access for each memory."""
        await self._service.count_access(scope, ids)
