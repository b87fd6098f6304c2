"""Deleting memories so that they are gone: with what was made of them, and from work that is under way."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from memrouter.clock import Clock
from memrouter.memory.extraction.source_turns import is_source
from memrouter.memory.storing.audit import audit
from memrouter.memory.storing.derived import freed_again, matters, removal
from memrouter.memory.storing.edits import OwnerEdits, Plan
from memrouter.memory.storing.marks import Erased, ErasureMarks
from memrouter.memory.upkeep.merging import FROM_CONVERSATION
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, MemoryType, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import ALL_TYPES, Filter, ScanQuery
from memrouter.stores.state import drop_conversation, drop_responses

_PIECE: Final = 500
"""Most memories of a conversation that are removed in one step."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of an erasure that tells nothing about what was erased.

    Attributes:
        count: How many memories.
        erased_at: When, in milliseconds since the epoch.
        sha256: Over their ids, sorted, each followed by a line end; 64 hex digits.
    """

    count: int
    erased_at: int
    sha256: str


class Eraser:
    """Deletes. Whatever was under way when a deletion began cannot bring back what it removed.

    Args:
        store: Where.
        edits: Makes changes by what is kept.
        marks: Notes deletions.
        clock: Tells the time.
    """

    def __init__(self, store: MemoryStore, *, edits: OwnerEdits, marks: ErasureMarks, clock: Clock) -> None:
        self._store = store
        self._edits = edits
        self._marks = marks
        self._clock = clock

    async def forget(self, scope: Scope, memory_id: str, *, actor: Actor) -> bool:
        """Remove one memory, superseded and expired ones too; return whether it was there.

        What it replaced goes with it, and of a turn the windows that hold its text and the facts that were drawn from
        it alone; see ``removal``. A memory that was merged into another takes that one along, since its text stands
        there too, and the others that it was merged with are visible again.
        """
        ids = frozenset({memory_id})
        await self._marks.note(await self._erased(scope, ids), now=self._clock.now_ms())
        removed = await self._removed(scope, ids, actor)
        if removed:
            audit("deleted", scope.user_id, removed, actor=actor)
        else:
            await self._edits.outdate(scope.user_id)
        return memory_id in removed

    async def forget_all(self, scope: Scope, types: frozenset[MemoryType], *, actor: Actor) -> int:
        """Remove all memories of a scope and of these types, superseded and expired ones too; return how many.

        With all types, the responses that were kept go too: they hold the user's words as well.
        """
        await self._note(Erased(scope, types), now=self._clock.now_ms())
        await self._drop_responses(scope, types)
        count = await self._store.delete(scope, Filter(types=types))
        rule = None if types == ALL_TYPES else " ".join(sorted(types))
        audit("deleted_all", scope.user_id, (), actor=actor, rule=rule, count=count)
        return count

    async def forget_conversation(self, scope: Scope, conversation_id: str, *, actor: Actor) -> int:
        """Remove what ``erase_conversation`` removes; return how many memories."""
        return (await self.erase_conversation(scope, conversation_id, actor=actor)).count

    async def erase_conversation(self, scope: Scope, conversation_id: str, *, actor: Actor) -> Receipt:
        """Remove everything that came from a conversation and return a receipt for it.

        Those into which one of them was merged go too, see ``forget``, and the responses that were kept of it. What was
        said in another conversation as well stays where that one said it first.
        """
        now = self._clock.now_ms()
        await self._note(Erased(scope, conversation_id=conversation_id), now=now)
        found = [
            record.id
            async for page in self._store.scan(ScanQuery(user_id=scope.user_id))
            for record in page.records
            if scope.covers(record) and _comes_from(record, conversation_id)
        ]
        removed: set[str] = set()
        for first in range(0, len(found), _PIECE):
            removed |= await self._removed(scope, frozenset(found[first : first + _PIECE]), actor)
        await drop_conversation(self._store.state, scope, conversation_id)
        audit("deleted", scope.user_id, removed, actor=actor, rule="conversation", conversation_id=conversation_id)
        return _receipt(removed, now)

    async def erase(self, scope: Scope, types: frozenset[MemoryType], *, actor: Actor) -> Receipt:
        """Remove what ``forget_all`` removes and return a receipt for it.

        Each is removed by its id, so that one which is written meanwhile is either on the receipt or still there.
        Memory grows by the ids alone.

        Raises:
            StoreUnavailable: The store failed; some may be gone already.
        """
        now = self._clock.now_ms()
        await self._note(Erased(scope, types), now=now)
        await self._drop_responses(scope, types)
        erased: set[str] = set()
        async for page in self._store.scan(ScanQuery(user_id=scope.user_id, where=Filter(types=types))):
            ids = frozenset(record.id for record in page.records if scope.covers(record))
            if ids:
                await self._store.delete(scope, Filter(ids=ids))
                erased |= ids
        audit("erased", scope.user_id, (), actor=actor, count=len(erased))
        return _receipt(erased, now)

    async def _note(self, erased: Erased, *, now: int) -> None:
        """Mark a deletion; what was planned before it and is not made yet fails, and is planned again by the mark."""
        await self._marks.note(erased, now=now)
        await self._edits.outdate(erased.scope.user_id)

    async def _erased(self, scope: Scope, ids: frozenset[str]) -> Erased:
        """Return what is deleted with the turns that it is of, so that windows which are being made can be told."""
        records = await self._store.get(scope, sorted(ids), now=0)  # at time 0 nothing has expired
        turns = {
            (record.project_id, record.conversation_id, record.turn_index)
            for record in records
            if is_source(record) and record.conversation_id is not None and record.turn_index is not None
        }
        return Erased(scope, ids=ids, turns=frozenset(turns))

    async def _drop_responses(self, scope: Scope, types: frozenset[MemoryType]) -> None:
        if types == ALL_TYPES:
            await drop_responses(self._store.state, scope)

    async def _removed(self, scope: Scope, ids: Collection[str], actor: Actor) -> frozenset[str]:
        """Remove memories and what goes along with them; return the ids of all that were there."""

        async def plan() -> Plan[frozenset[str]]:
            now = self._clock.now_ms()
            done = removal(ids, await self._kept(scope, ids))
            freed = [freed_again(record, actor=actor, now=now) for record in done.freed]
            return Plan(done.gone, [*freed, *done.unlinked], done.gone)

        return await self._edits.apply(scope.user_id, plan)

    async def _kept(self, scope: Scope, ids: Collection[str]) -> dict[str, MemoryRecord]:
        """Return the memories of these ids and all that may have to do with them."""
        return {
            record.id: record
            async for page in self._store.scan(ScanQuery(user_id=scope.user_id))
            for record in page.records
            if scope.covers(record) and (record.id in ids or matters(record))
        }


def _receipt(ids: Collection[str], erased_at: int) -> Receipt:
    lines = "".join(f"{memory_id}\n" for memory_id in sorted(ids))
    return Receipt(len(ids), erased_at, hashlib.sha256(lines.encode()).hexdigest())


def _comes_from(record: MemoryRecord, conversation_id: str) -> bool:
    """Return whether a memory, or one that was merged into it, comes from a conversation."""
    origins = (entry.ref for entry in record.history if entry.rule == FROM_CONVERSATION)
    return record.conversation_id == conversation_id or conversation_id in origins
