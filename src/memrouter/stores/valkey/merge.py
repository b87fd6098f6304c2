"""Bringing memories in just as they are: some hundred of one owner in one atomic script."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from memrouter.errors import InvalidRequest
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.query import Merged, MergeMode
from memrouter.stores.single import require_single
from memrouter.stores.valkey.bulk import INLINE_RECORDS, pack_bulk
from memrouter.stores.valkey.connection import NOT_TEXT, Connection
from memrouter.stores.valkey.fence import Fence
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.legacy import Untagged
from memrouter.stores.valkey.scripts import (
    FENCE,
    FORGET_NEXT,
    PACKED,
    RAISE_GENERATION,
    STORE,
    TWINS,
    WRITE,
    LuaScript,
    ScriptCall,
)

STEP: Final = 250
"""Memories of one owner that one script brings in: some 5 ms of the server's time."""

_CALLS_AT_ONCE: Final = 64

# Memories of one owner just as they are. KEYS those of a Bulk; ARGV mode, its texts, its vectors. Returns for each one
# ``added``, ``replaced`` or ``kept``.
_MERGE: Final = LuaScript(
    WRITE
    + FENCE
    + FORGET_NEXT
    + RAISE_GENERATION
    + PACKED
    + TWINS
    + STORE
    + """
local mode, packed, vectors = ARGV[1], cmsgpack.unpack(ARGV[2]), ARGV[3]
local size = #vectors / #packed
local function stays(updated_at, p)
  return mode == 'skip' or (mode == 'newer' and tonumber(p[6]) <= tonumber(updated_at))
end
local outcomes, changed = {}, false
for i = 1, #packed do
  local p, key = packed[i], KEYS[i + 4]
  local updated_at = redis.call('HGET', key, 'updated_at')
  if updated_at and stays(updated_at, p) then
    outcomes[i] = 'kept'
  else
    redis.call('HDEL', KEYS[3], p[1])
    if updated_at then
      forget_twin(KEYS[4], key, p[1])
      redis.call('UNLINK', key)
      forget_next(KEYS[1], p[1])
    end
    store(key, p, string.sub(vectors, (i - 1) * size + 1, i * size))
    outcomes[i], changed = updated_at and 'replaced' or 'added', true
  end
end
if changed then raise(KEYS[2]) end
return outcomes
"""
)


class Merge:
    """The merges of one store.

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

    async def __call__(self, records: Sequence[MemoryRecord], mode: MergeMode) -> list[Merged]:
        """See ``MemoryStore.merge``.

        A memory of the Go router that gives way is removed after the record that takes its place was written.
        """
        require_single((record.user_id, record.id) for record in records)
        held = await self._held_untagged(records) if self._index.state.legacy else {}
        outcomes = [mode.outcome(record, held=held.get(index)) for index, record in enumerate(records)]
        groups = _groups(records, [index for index, outcome in enumerate(outcomes) if outcome is not Merged.KEPT])
        calls = await self._calls(records, groups, mode)
        for first in range(0, len(calls), _CALLS_AT_ONCE):
            replies = await self._fence.scripts(calls[first : first + _CALLS_AT_ONCE])
            for group, reply in zip(groups[first:], replies, strict=False):
                for index, word in zip(group, reply, strict=True):
                    merged = Merged(word.decode())
                    if merged is not Merged.ADDED or index not in held:
                        outcomes[index] = merged
        await self._discard_untagged([records[index] for index in held if outcomes[index] is Merged.REPLACED])
        return outcomes

    async def _calls(
        self, records: Sequence[MemoryRecord], groups: Sequence[Sequence[int]], mode: MergeMode
    ) -> list[ScriptCall]:
        """Return one script call for each group.

        Raises:
            InvalidRequest: A text holds a lone surrogate.
        """

        def packed() -> list[ScriptCall]:
            return [self._call([records[index] for index in group], mode) for group in groups]

        try:
            return packed() if len(records) <= INLINE_RECORDS else await asyncio.to_thread(packed)
        except UnicodeEncodeError:
            raise InvalidRequest(NOT_TEXT) from None

    def _call(self, records: Sequence[MemoryRecord], mode: MergeMode) -> ScriptCall:
        owner = self._keys.of_user(records[0].user_id)
        bulk = pack_bulk(owner, records, dimension=self._dimension, embedding_model=self._embedding_model)
        return ScriptCall(_MERGE, bulk.keys, [mode.value, bulk.texts, bulk.vectors])

    async def _held_untagged(self, records: Sequence[MemoryRecord]) -> dict[int, int]:
        """Return ``updated_at`` of each memory of the Go router that has the id and owner of a record, by its index."""
        held: dict[int, int] = {}
        for group in _groups(records, range(len(records))):
            wanted = {records[index].id: index for index in group}
            found = await self._untagged.get(Scope(records[group[0]].user_id, None), list(wanted))
            held |= {wanted[record.id]: record.updated_at for record in found if record.id in wanted}
        return held

    async def _discard_untagged(self, records: Sequence[MemoryRecord]) -> None:
        for group in _groups(records, range(len(records))):
            scope = Scope(records[group[0]].user_id, None)
            await self._untagged.discard(scope, [records[index].id for index in group])


def _groups(records: Sequence[MemoryRecord], indices: Iterable[int]) -> list[list[int]]:
    """Return indices of records in groups of one user and at most STEP."""
    by_user: dict[str, list[int]] = {}
    for index in indices:
        by_user.setdefault(records[index].user_id, []).append(index)
    return [group[first : first + STEP] for group in by_user.values() for first in range(0, len(group), STEP)]
