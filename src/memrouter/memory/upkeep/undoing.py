"""Taking a consolidation back."""

from collections.abc import Sequence
from dataclasses import dataclass

from memrouter.clock import Clock
from memrouter.errors import InvalidRequest, NotFound
from memrouter.memory.storing.audit import audit
from memrouter.memory.storing.edits import OwnerEdits, Plan
from memrouter.memory.upkeep.merging import REPEATED, consolidated_by, edited, restored
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, Scope, Source
from memrouter.stores.base import MemoryStore


@dataclass(frozen=True, slots=True)
class Undone:
    """What was taken back.

    Attributes:
        restored: Ids of the memories that retrieval finds again.
        removed: Id of the merged memory, which is gone; None where none had been made.
    """

    restored: tuple[str, ...]
    removed: str | None


class ConsolidationUndo:
    """Brings back what was merged, for as long as it is kept (``retention.undo_days``).

    Args:
        store: Where.
        edits: Changes.
        clock: Tells the time.
    """

    def __init__(self, *, store: MemoryStore, edits: OwnerEdits, clock: Clock) -> None:
        self._store = store
        self._edits = edits
        self._clock = clock

    async def undo(self, scope: Scope, memory_id: str, *, actor: Actor) -> Undone:
        """Restore the memories that a merged one stands for, and remove it, in one step.

        What was restored is not merged with the same memories again. The id of a session window that its turns stand
        for brings back the window. Those that were purged or expired meanwhile do not come back.

        Args:
            scope: Whose.
            memory_id: A merged memory, or such a window.
            actor: Who wants it.

        Raises:
            NotFound: Absent, expired or someone else's.
            InvalidRequest: It was not made by consolidation, was changed or replaced since, or nothing of it is kept.
            StoreUnavailable: The store failed.
        """
        undone = await self._edits.apply(scope.user_id, lambda: self._plan(scope, memory_id, actor))
        ids = [*undone.restored, *([undone.removed] if undone.removed else [])]
        audit("consolidation_undone", scope.user_id, ids, actor=actor)
        return undone

    async def _plan(self, scope: Scope, memory_id: str, actor: Actor) -> Plan[Undone]:
        now = self._clock.now_ms()
        found = await self._store.get(scope, [memory_id], now=now)
        if not found:
            raise NotFound("no memory has this id", param="id")
        record = found[0]
        entry = consolidated_by(record)
        if entry is not None and entry.rule == REPEATED:
            return Plan(Undone((record.id,), None), put=[restored(record, actor=actor, now=now)])
        _check_undoable(record)
        sources = await self._sources(scope, record, now)
        put = [restored(source, actor=actor, now=now) for source in sources]
        ids = tuple(source.id for source in sources)
        return Plan(Undone(ids, record.id), put=put, remove=frozenset({record.id}))

    async def _sources(self, scope: Scope, record: MemoryRecord, now: int) -> Sequence[MemoryRecord]:
        linked = await self._store.get(Scope(scope.user_id, None), record.links, now=now)
        sources = [source for source in linked if source.superseded_by == record.id and consolidated_by(source)]
        if not sources:
            raise InvalidRequest("what this memory was merged from is no longer kept", code="cannot_undo", param="id")
        return sources


def _check_undoable(record: MemoryRecord) -> None:
    if record.superseded_by is not None:
        what = f"this memory was replaced by {record.superseded_by}; undo that first"
    elif record.source is not Source.CONSOLIDATION:
        what = "this memory was not made by consolidation"
    elif edited(record):
        what = "this memory was changed since it was merged; undoing would lose the change"
    else:
        return
    raise InvalidRequest(what, code="cannot_undo", param="id")
