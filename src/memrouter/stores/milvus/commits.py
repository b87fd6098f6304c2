"""Changes that are made only where nothing was written since they were planned."""

import asyncio
from typing import Final

from msgspec.structs import replace

from memrouter.models.memory import MemoryRecord
from memrouter.stores.milvus.checks import INLINE_RECORDS, Checks
from memrouter.stores.milvus.entities import Entities
from memrouter.stores.milvus.expressions import storable
from memrouter.stores.milvus.journal import Change, Journal
from memrouter.stores.milvus.reader import OwnerReader
from memrouter.stores.milvus.rows import Held
from memrouter.stores.milvus.state import OwnerState
from memrouter.stores.query import Change as PlannedChange
from memrouter.stores.single import require_single

_NO_ID: Final = "~"
"""Stands where some id has to be asked for; that a memory may have it does no harm."""


class Commits:
    """The commits of one store.

    Within this process they are exact, since writers of an owner take turns. Another router may write in the moment
    in which a commit does; whoever sees that the other came between takes the own change back. Of two that meet, at
    most one stands.

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

    async def __call__(self, planned: PlannedChange) -> int | None:
        """See ``MemoryStore.commit``."""
        require_single(record.id for record in planned.put)
        await self._checks(planned.put)
        user = planned.user_id
        ids = sorted({record.id for record in planned.put} | set(filter(storable, planned.remove))) or [_NO_ID]
        async with self._journal.turn([user]):
            state = (await self._journal.states([user], self._reader.id_parts(ids)))[user]
            if state.generation != planned.after:
                return None
            change = await self._change(planned, state)
            proposal = await self._journal.proposed(user, change)
            seen = await self._journal.shown({user: change}, memories=self._reader.with_ids(ids[:1]), more=())
            after = seen[user]
            others = after.sizes.keys() - state.sizes.keys() - {change.number}
            if others and self._journal.revocable(proposal, after):
                await self._journal.withdrawn(user, proposal, after)
                return None
            await self._journal.concluded(proposal)
            # Where another router's change stands as well, nobody may take it for known who goes by the number given.
            return state.generation if others else after.generation

    async def _change(self, planned: PlannedChange, state: OwnerState) -> Change:
        change = self._journal.change(state)
        if len(planned.put) <= INLINE_RECORDS:
            self._fill(change, planned)
        else:
            await asyncio.to_thread(self._fill, change, planned)
        return change

    def _fill(self, change: Change, planned: PlannedChange) -> None:
        """Add what is to be done."""
        state = change.state
        for record in planned.put:
            held = state.memories.get(record.id)
            if held is None:
                fresh = self._entities.born(record, change)
            else:
                counted = _counted(record, state.record(held))
                fresh = self._entities.following(held, counted, change, birth=held.birth)
            change.rows.append(self._entities.row(fresh))
            change.garbage += state.keys(record.id)
        going: list[Held] = [state.memories[name] for name in sorted(planned.remove) if name in state.memories]
        change.rows += self._entities.graves(planned.user_id, going, change)
        change.garbage += [key for held in going for key in state.keys(held.record.id)]


def _counted(record: MemoryRecord, before: MemoryRecord) -> MemoryRecord:
    """Return a memory with the greater access counts of its own and those that it had before."""
    last = max(record.last_accessed or 0, before.last_accessed or 0) or None
    return replace(record, access_count=max(record.access_count, before.access_count), last_accessed=last)
