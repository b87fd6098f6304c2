"""Writes: each one insert for everything that it changes."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from memrouter.errors import MemoryConflict
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.milvus.checks import INLINE_RECORDS, Checks
from memrouter.stores.milvus.creation import Creation, doubles, sort_out
from memrouter.stores.milvus.entities import Entities
from memrouter.stores.milvus.expressions import storable
from memrouter.stores.milvus.journal import Change, Journal
from memrouter.stores.milvus.reader import CONTENT, IDS_AT_ONCE, OwnerReader
from memrouter.stores.milvus.rows import digest_of
from memrouter.stores.milvus.state import Access, OwnerState, bucket_of
from memrouter.stores.query import Filter, Merged, MergeMode
from memrouter.stores.single import require_single

MERGE_AT_ONCE: Final = 500
"""Records of one step of ``merge``."""

DELETION_TRIES: Final = 3
"""How often memories are looked for anew that other routers wrote while they were being deleted."""


class Writes:
    """The writes of one store.

    Args:
        journal: Does what is to be done.
        reader: Tells what expressions to use.
        entities: Makes what is written.
        checks: Refuses what cannot be kept.
    """

    def __init__(self, journal: Journal, reader: OwnerReader, entities: Entities, checks: Checks) -> None:
        self._journal = journal
        self._reader = reader
        self._entities = entities
        self._checks = checks

    async def create(self, records: Sequence[MemoryRecord], unique_content: bool) -> list[str]:
        """See ``MemoryStore.create``."""
        require_single(record.id for record in records)
        await self._checks(records)
        owners = _by_owner(records)
        async with self._journal.turn(owners):
            states = await self._journal.states(
                list(owners), self._parts(records, unique_content), more=CONTENT if unique_content else ()
            )
            outcome = {
                user: sort_out(group, states[user], unique_content=unique_content) for user, group in owners.items()
            }
            changes = {user: self._journal.change(states[user]) for user, creation in outcome.items() if creation.added}
            for user, change in changes.items():
                change.rows += [
                    self._entities.row(self._entities.born(record, change)) for record in outcome[user].added
                ]
            if changes:
                await self._journal.insert(changes)
        kept = {memory_id: name for creation in outcome.values() for memory_id, name in creation.kept.items()}
        if changes:
            kept |= await self._shown(changes, outcome, unique_content)
        taken = [memory_id for creation in outcome.values() for memory_id in creation.taken]
        if taken:
            raise MemoryConflict(taken)
        return [kept[record.id] for record in records]

    async def touch(self, scope: Scope, ids: Sequence[str], now: int) -> int:
        """See ``MemoryStore.touch``; writes no memory anew, only the counts, which stand apart."""
        wanted = {memory_id for memory_id in ids if storable(memory_id)}
        if not wanted:
            return 0
        user = scope.user_id
        async with self._journal.turn([user]):
            state = (await self._journal.states([user], self._reader.id_parts(sorted(wanted))))[user]
            counted = {
                name: Access(held.birth, record.access_count + 1, max(record.last_accessed or 0, now))
                for name, held in state.memories.items()
                for record in [state.record(held)]
                if name in wanted and scope.covers(record) and record.visible(now)
            }
            if not counted:
                return 0
            state.access |= counted
            change = self._journal.change(state)
            change.raises = False
            for bucket in sorted({bucket_of(name) for name in counted}):
                change.rows.append(self._entities.counts(user, state, bucket))
                change.garbage += state.buckets.get(bucket, [])
            await self._journal.insert({user: change})
        await self._journal.shown({user: change}, memories=self._reader.with_ids(list(counted)[:1]), more=())
        return len(counted)

    async def delete(self, scope: Scope, where: Filter) -> int:
        """See ``MemoryStore.delete``; what another router writes in the same moment is looked at too."""
        ids = None if where.ids is None else sorted(memory_id for memory_id in where.ids if storable(memory_id))
        if not where.types or where.sources == frozenset() or ids == []:
            return 0
        user, deleted = scope.user_id, set[str]()
        for _ in range(DELETION_TRIES):
            async with self._journal.turn([user]):
                parts = [""] if ids is None else self._reader.id_parts(ids)
                state = (await self._journal.states([user], parts))[user]
                going = [
                    held for held in state.memories.values() if scope.covers(held.record) and where.holds(held.record)
                ]
                if not going:
                    break
                change = self._journal.change(state)
                change.rows += self._entities.graves(user, going, change)
                change.garbage += [key for held in going for key in state.keys(held.record.id)]
                await self._journal.insert({user: change})
            deleted |= {held.record.id for held in going}
            one = self._reader.with_ids([going[0].record.id])
            after = (await self._journal.shown({user: change}, memories=one, more=()))[user]
            if not after.sizes.keys() - state.sizes.keys() - {change.number}:
                break
        return len(deleted)

    async def merge(self, records: Sequence[MemoryRecord], mode: MergeMode) -> list[Merged]:
        """See ``MemoryStore.merge``; some hundred records in one atomic step."""
        require_single((record.user_id, record.id) for record in records)
        await self._checks(records)
        results: list[Merged] = []
        waiting: list[asyncio.Future[object]] = []
        try:
            for first in range(0, len(records), MERGE_AT_ONCE):
                part = records[first : first + MERGE_AT_ONCE]
                outcomes, changes = await self._merge(part, mode)
                results += outcomes
                if changes:  # the server's time tick is waited for while the next step is written
                    one = self._reader.with_ids([part[0].id])
                    waiting.append(asyncio.ensure_future(self._journal.shown(changes, memories=one, more=())))
        finally:
            await asyncio.gather(*waiting)
        return results

    async def _merge(
        self, records: Sequence[MemoryRecord], mode: MergeMode
    ) -> tuple[list[Merged], Mapping[str, Change]]:
        """Take one step; return what became of the records, and what is not shown yet."""
        owners = _by_owner(records)
        async with self._journal.turn(owners):
            states = await self._journal.states(list(owners), self._reader.id_parts([record.id for record in records]))
            if len(records) <= INLINE_RECORDS:
                outcomes, changes = self._merged(records, mode, states)
            else:
                outcomes, changes = await asyncio.to_thread(self._merged, records, mode, states)
            if changes:
                await self._journal.insert(changes)
        return outcomes, changes

    def _merged(
        self, records: Sequence[MemoryRecord], mode: MergeMode, states: Mapping[str, OwnerState]
    ) -> tuple[list[Merged], Mapping[str, Change]]:
        """Return what becomes of records, and what is to be done for that."""
        outcomes: list[Merged] = []
        changes: dict[str, Change] = {}
        for record in records:
            held = states[record.user_id].memories.get(record.id)
            outcome = mode.outcome(record, held=None if held is None else held.record.updated_at)
            outcomes.append(outcome)
            if outcome is Merged.KEPT:
                continue
            if record.user_id not in changes:
                changes[record.user_id] = self._journal.change(states[record.user_id])
            change = changes[record.user_id]
            fresh = self._entities.born(record, change)
            if held is not None:  # born anew: counts that were kept for the memory before do not count for this one
                fresh = self._entities.following(held, record, change, birth=fresh.birth)
            change.rows.append(self._entities.row(fresh))
            change.garbage += change.state.keys(record.id)
        return outcomes, changes

    async def _shown(
        self, changes: Mapping[str, Change], outcome: Mapping[str, Creation], unique_content: bool
    ) -> dict[str, str]:
        """Wait until a creation is shown; return ids under which contents are kept after all.

        Raises:
            MemoryConflict: Another router took an id at the same time.
        """
        added = {user: outcome[user].added for user in changes}
        one = [record for group in added.values() for record in group][:IDS_AT_ONCE]
        part = self._either(one) if unique_content else self._reader.with_ids(record.id for record in one)
        states = await self._journal.shown(changes, memories=part)
        kept: dict[str, str] = {}
        lost = [
            record.id
            for user, group in added.items()
            for record in group
            if record.id in states[user].rivals and states[user].memories[record.id].key not in _keys(changes[user])
        ]
        if lost:
            raise MemoryConflict(lost)
        for user, group in added.items() if unique_content else ():
            going = doubles(group, states[user])
            if going:
                await self.delete(Scope(user, None), Filter(ids=frozenset(going)))
            kept |= {record.id: going[record.id] for record in group if record.id in going}
        return kept

    def _parts(self, records: Sequence[MemoryRecord], unique_content: bool) -> list[str]:
        """Return expressions for the memories that matter for a creation."""
        parts = [records[first : first + IDS_AT_ONCE] for first in range(0, len(records), IDS_AT_ONCE)]
        if unique_content:
            return [self._either(part) for part in parts]
        return [self._reader.with_ids(record.id for record in part) for part in parts]

    def _either(self, records: Sequence[MemoryRecord]) -> str:
        ids = self._reader.with_ids(record.id for record in records)
        return ids and f"({ids} or {self._reader.with_digests(digest_of(record.content) for record in records)})"


def _by_owner(records: Iterable[MemoryRecord]) -> dict[str, list[MemoryRecord]]:
    owners: dict[str, list[MemoryRecord]] = {}
    for record in records:
        owners.setdefault(record.user_id, []).append(record)
    return owners


def _keys(change: Change) -> set[str]:
    return {str(value) for row in change.rows for name, value in row.items() if name in ("key", "id")}
