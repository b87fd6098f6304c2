"""Deleting memories so that they are gone: with what was made of them, and from work that is under way."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from memrouter.clock import Clock
from memrouter.memory.storing.audit import audit
from memrouter.memory.storing.edits import OwnerEdits, Plan
from memrouter.memory.storing.marks import Erased, ErasureMarks
from memrouter.memory.upkeep.merging import FROM_CONVERSATION
from memrouter.models.history import Actor, Event, HistoryEntry, appended
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import ALL_TYPES, Filter, ScanQuery
from memrouter.stores.state import drop_responses


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

        What it replaced goes with it: that was kept only so that it could be undone. A memory that was merged into
        another takes that one along, since its text stands there too, and the others that it was merged with are
        visible again.
        """
        ids = frozenset({memory_id})
        await self._marks.note(Erased(scope, ids=ids), now=self._clock.now_ms())
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
        await self._marks.note(Erased(scope, types), now=self._clock.now_ms())
        await self._drop_responses(scope, types)
        count = await self._store.delete(scope, Filter(types=types))
        if not count:
            await self._edits.outdate(scope.user_id)
        rule = None if types == ALL_TYPES else " ".join(sorted(types))
        audit("deleted_all", scope.user_id, (), actor=actor, rule=rule, count=count)
        return count

    async def forget_conversation(self, scope: Scope, conversation_id: str, *, actor: Actor) -> int:
        """Remove what ``erase_conversation`` removes; return how many memories."""
        return (await self.erase_conversation(scope, conversation_id, actor=actor)).count

    async def erase_conversation(self, scope: Scope, conversation_id: str, *, actor: Actor) -> Receipt:
        """Remove everything that came from a conversation and return a receipt for it.

        Those into which one of them was merged go too; see ``forget``. What was said in another conversation as well
        stays where that one said it first.
        """
        now = self._clock.now_ms()
        await self._marks.note(Erased(scope, conversation_id=conversation_id), now=now)
        removed: set[str] = set()
        async for page in self._store.scan(ScanQuery(user_id=scope.user_id)):
            ids = {
                record.id for record in page.records if scope.covers(record) and _comes_from(record, conversation_id)
            }
            removed |= await self._removed(scope, ids, actor) if ids else frozenset()
        if not removed:
            await self._edits.outdate(scope.user_id)
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
        await self._marks.note(Erased(scope, types), now=now)
        await self._drop_responses(scope, types)
        await self._edits.outdate(scope.user_id)
        erased: set[str] = set()
        async for page in self._store.scan(ScanQuery(user_id=scope.user_id, where=Filter(types=types))):
            ids = frozenset(record.id for record in page.records if scope.covers(record))
            if ids:
                await self._store.delete(scope, Filter(ids=ids))
                erased |= ids
        audit("erased", scope.user_id, (), actor=actor, count=len(erased))
        return _receipt(erased, now)

    async def _drop_responses(self, scope: Scope, types: frozenset[MemoryType]) -> None:
        if types == ALL_TYPES:
            await drop_responses(self._store.state, scope)

    async def _removed(self, scope: Scope, ids: Collection[str], actor: Actor) -> frozenset[str]:
        """Remove memories and what hangs together with them; return the ids of all that were there."""

        async def plan() -> Plan[frozenset[str]]:
            now = self._clock.now_ms()
            gone = await self._with_relatives(scope, ids)
            freed = await self._freed(scope, gone)
            restored = [_restored(record, actor=actor, now=now) for record in freed]
            return Plan(frozenset(gone), restored, frozenset(gone))

        return await self._edits.apply(scope.user_id, plan)

    async def _with_relatives(self, scope: Scope, ids: Collection[str]) -> dict[str, MemoryRecord]:
        """Return the memories of these ids, what they replaced, and those into which they were merged."""
        gone = await self._get(scope, ids)
        replacing = list(gone.values())
        while replacing:
            places = {record.id for record in replacing}
            found = await self._get(scope, {link for record in replacing for link in record.links} - gone.keys())
            replacing = [record for record in found.values() if record.superseded_by in places]
            gone |= {record.id: record for record in replacing}
        merged = list(gone.values())
        while merged:
            found = await self._get(scope, {record.superseded_by or "" for record in merged} - gone.keys() - {""})
            merged = [heir for heir in found.values() if heir.source is Source.CONSOLIDATION]
            gone |= {record.id: record for record in merged}
        return gone

    async def _freed(self, scope: Scope, gone: dict[str, MemoryRecord]) -> Sequence[MemoryRecord]:
        """Return the memories that only a merged one which goes keeps out of sight."""
        links = {link for record in gone.values() for link in record.links}
        parts = await self._get(scope, links - gone.keys())
        return [record for record in parts.values() if record.superseded_by in gone]

    async def _get(self, scope: Scope, ids: Iterable[str]) -> dict[str, MemoryRecord]:
        wanted = sorted(ids)
        # At time 0 nothing has expired.
        found = await self._store.get(scope, wanted, now=0) if wanted else []
        return {record.id: record for record in found}


def _receipt(ids: Collection[str], erased_at: int) -> Receipt:
    lines = "".join(f"{memory_id}\n" for memory_id in sorted(ids))
    return Receipt(len(ids), erased_at, hashlib.sha256(lines.encode()).hexdigest())


def _comes_from(record: MemoryRecord, conversation_id: str) -> bool:
    """Return whether a memory, or one that was merged into it, comes from a conversation."""
    origins = (entry.ref for entry in record.history if entry.rule == FROM_CONVERSATION)
    return record.conversation_id == conversation_id or conversation_id in origins


def _restored(record: MemoryRecord, *, actor: Actor, now: int) -> MemoryRecord:
    entry = HistoryEntry(now, Event.RESTORED, actor, "merged_memory_deleted", record.superseded_by)
    return replace(record, superseded_by=None, updated_at=now, history=appended(record.history, entry))
