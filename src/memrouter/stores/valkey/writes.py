"""Writes: each one script on the owner's slot, which writes all of it or nothing."""

import asyncio
from collections.abc import Sequence

from memrouter.errors import InvalidRequest, MemoryConflict
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.query import Filter
from memrouter.stores.single import require_single
from memrouter.stores.valkey.bulk import INLINE_RECORDS, pack_bulk
from memrouter.stores.valkey.connection import NOT_TEXT, Connection
from memrouter.stores.valkey.fence import Fence
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.keys import Keys, OwnerKeys
from memrouter.stores.valkey.legacy import Untagged
from memrouter.stores.valkey.scripts import CREATE, DELETE, DELETE_WALK, TOUCH, ScriptCall
from memrouter.stores.valkey.selection import selection, storable

DELETE_STEP = 500
"""Memories that one script removes or passes by: a few milliseconds of the server's time."""

_OWNERS_AT_ONCE = 64


class Writes:
    """The writes of one store.

    Args:
        connection: Runs the scripts.
        keys: Names the keys.
        index: Tells whether there are memories of the Go router.
        untagged: Memories of the Go router.
        fence: Runs the scripts that write vectors.
        dimension: Length of the store's vectors.
        embedding_model: Name of the store's model.
    """

    def __init__(
        self,
        connection: Connection,
        keys: Keys,
        index: SearchIndex,
        *,
        untagged: Untagged,
        fence: Fence,
        dimension: int,
        embedding_model: str,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._index = index
        self._untagged = untagged
        self._fence = fence
        self._dimension = dimension
        self._embedding_model = embedding_model

    async def create(self, records: Sequence[MemoryRecord], unique_content: bool) -> list[str]:
        """See ``MemoryStore.create``; all or none for each owner, owner after owner."""
        require_single(record.id for record in records)
        owners: dict[str, list[MemoryRecord]] = {}
        for record in records:
            owners.setdefault(record.user_id, []).append(record)
        groups = list(owners.values())
        if len(records) <= INLINE_RECORDS:
            calls = self._creations(groups, unique_content)
        else:
            calls = await asyncio.to_thread(self._creations, groups, unique_content)
        kept: dict[str, str] = {}
        taken: list[str] = []
        for first in range(0, len(calls), _OWNERS_AT_ONCE):
            replies = await self._fence.scripts(calls[first : first + _OWNERS_AT_ONCE])
            for group, (outcome, ids) in zip(groups[first:], replies, strict=False):
                if outcome == b"taken":
                    taken += [memory_id.decode() for memory_id in ids]
                else:
                    kept |= {record.id: memory_id.decode() for record, memory_id in zip(group, ids, strict=True)}
        if taken:
            raise MemoryConflict(taken)
        return [kept[record.id] for record in records]

    async def touch(self, scope: Scope, ids: Sequence[str], now: int) -> int:
        """See ``MemoryStore.touch``."""
        wanted = storable(ids)
        if not wanted:
            return 0
        owner = self._keys.of_scope(scope)
        names = [owner.memory(memory_id) for memory_id in wanted]
        counted = await self._connection.script(
            TOUCH, [owner.access, *names], [now, scope.user_id, scope.project_id or "", *wanted]
        )
        if counted < len(wanted) and self._index.state.legacy:
            counted += await self._untagged.touch(scope, wanted, now)
        return int(counted)

    async def delete(self, scope: Scope, where: Filter) -> int:
        """See ``MemoryStore.delete``; more than DELETE_STEP memories go in several steps, each of them atomic."""
        if not where.types or where.sources == frozenset():
            return 0
        if where.ids is None:
            # Untagged ones first: what a rebuild moves meanwhile is then found under its new key.
            untagged = [record.id for record in await self._untagged.of(scope)] if self._index.state.legacy else []
            removed = await self._untagged.delete(scope, where, untagged)
            return removed + await self._delete_all(scope, where)
        wanted = storable(where.ids)
        removed = await self._delete_named(scope, where, wanted)
        if removed < len(wanted) or self._index.state.legacy:
            removed += await self._untagged.delete(scope, where, wanted)
        if removed < len(wanted):
            removed += await self._delete_named(scope, where, wanted)
        return min(removed, len(wanted))

    async def _delete_named(self, scope: Scope, where: Filter, ids: Sequence[str]) -> int:
        owner = self._keys.of_scope(scope)
        chosen = selection(owner.base, scope, where, now=0, show="any")
        removed = 0
        for first in range(0, len(ids), DELETE_STEP):
            part = ids[first : first + DELETE_STEP]
            names = [owner.memory(memory_id) for memory_id in part]
            removed += await self._connection.script(DELETE, [*owner.sides, *names], [*chosen, *part])
        return removed

    async def _delete_all(self, scope: Scope, where: Filter) -> int:
        owner = self._keys.of_scope(scope)
        chosen = selection(owner.base, scope, where, now=0, show="any")
        kept, created, looked, removed = b"", b"0", DELETE_STEP, 0
        while looked == DELETE_STEP:
            kept, created, looked, number = await self._connection.script(
                DELETE_WALK, owner.sides, [*chosen, kept, created, DELETE_STEP]
            )
            removed += number
        return removed

    def _creations(self, groups: Sequence[Sequence[MemoryRecord]], unique_content: bool) -> list[ScriptCall]:
        """Return one script call for each owner's records.

        Raises:
            InvalidRequest: A text holds a lone surrogate.
        """
        try:
            return [self._creation(self._keys.of_user(group[0].user_id), group, unique_content) for group in groups]
        except UnicodeEncodeError:
            raise InvalidRequest(NOT_TEXT) from None

    def _creation(self, owner: OwnerKeys, records: Sequence[MemoryRecord], unique_content: bool) -> ScriptCall:
        bulk = pack_bulk(owner, records, dimension=self._dimension, embedding_model=self._embedding_model)
        return ScriptCall(CREATE, bulk.keys, ["1" if unique_content else "", owner.base, bulk.texts, bulk.vectors])
