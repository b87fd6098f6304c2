"""Stores what finished turns left to remember; runs behind the queue, after the answer was sent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from memrouter.memory.service import MemoryService
from memrouter.memory.storing.deposit import TRIED_AGAIN, Fate, Outcome
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.memory.storing.write_gate import Write
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.observability.metrics import Metrics
from memrouter.observability.tracing import Origin


@dataclass(frozen=True, eq=False)
class FinishedTurn:
    """What one turn left to remember.

    Attributes:
        scope: Whose turn.
        drafts: What to remember.
        begun_at: When the request arrived, in milliseconds since the epoch: what was deleted since is not brought
            back by it.
        origin: The span of the request, for the trace of what is done for it later.
    """

    scope: Scope
    drafts: tuple[MemoryDraft, ...]
    begun_at: int
    origin: Origin | None = None


class TurnWriter:
    """Does what waits behind the queue of finished turns and the tally of accesses.

    Args:
        service: Where memories are stored and counted.
        metrics: Counts what was stored.
        on_stored: Told of each new memory; must not wait. None: nobody is.
    """

    def __init__(
        self, *, service: MemoryService, metrics: Metrics, on_stored: Callable[[MemoryRecord], None] | None = None
    ) -> None:
        self._service = service
        self._metrics = metrics
        self._on_stored = on_stored
        self._under_way: WeakKeyDictionary[FinishedTurn, Write] = WeakKeyDictionary()

    async def store(self, turn: FinishedTurn) -> None:
        """Store a turn's memories; a turn that is tried again is embedded and stored once only."""
        if not (await self._service.switches.of(turn.scope.user_id)).saving:
            self._metrics.skipped("saving_off")
            return
        gate = self._service.gate
        write = self._under_way.get(turn)
        if write is None:
            write = await gate.admit(turn.scope, turn.drafts, actor=Actor.ROUTER, begun_at=turn.begun_at)
            self._under_way[turn] = write
        outcomes = await gate.store(write)
        stored = [outcome.record for outcome in outcomes if _is_new(outcome) and outcome.record is not None]
        self._metrics.stored(len(stored))
        if self._on_stored is not None:
            for record in stored:
                self._on_stored(record)
        self._metrics.truncated(sum(draft.truncated for draft in turn.drafts))

    async def count(self, scope: Scope, ids: Sequence[str]) -> None:
        """Count one access for each memory."""
        await self._service.count_access(scope, ids)


def _is_new(outcome: Outcome) -> bool:
    """Return whether a turn's memory is new, also where that was found only at the second try."""
    return outcome.fate is Fate.STORED or outcome.reason == TRIED_AGAIN
