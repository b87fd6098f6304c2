"""Changes that were planned by what is kept: one script on the owner's slot makes all of a change or nothing."""

import asyncio
from typing import Final

from memrouter.errors import InvalidRequest
from memrouter.models.memory import Scope
from memrouter.stores.query import EVERYTHING, Change
from memrouter.stores.single import require_single
from memrouter.stores.valkey.bulk import INLINE_RECORDS, pack_bulk
from memrouter.stores.valkey.connection import NOT_TEXT, Connection
from memrouter.stores.valkey.fence import Fence
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.legacy import Untagged
from memrouter.stores.valkey.scripts import (
    FENCE,
    PACKED,
    RAISE_GENERATION,
    REMOVAL,
    REMOVE,
    STORE,
    TWINS,
    WRITE,
    LuaScript,
    ScriptCall,
)
from memrouter.stores.valkey.selection import storable

# KEYS those of a Bulk, the memories to remove, the Go router's memories with the ids of either kind; ARGV generation,
# user id, texts and vectors of the Bulk, ids to remove. Returns the generation and how many were removed; nil, with
# nothing written, where the generation was another.
_BODY: Final = (
    RAISE_GENERATION
    + PACKED
    + TWINS
    + STORE
    + REMOVAL
    + """
if (redis.call('GET', KEYS[2]) or '0') ~= ARGV[1] then return false end
local packed, vectors = cmsgpack.unpack(ARGV[3]), ARGV[4]
local size, gone = #vectors / #packed, #ARGV - 4
local function greater(entry, given)
  local count, last = string.match(entry or '', '^(%d+):(%d*)$')
  local own_count, own_last = string.match(given, '^(%d+):(%d*)$')
  if not count or not own_count then return count and entry or given end
  last = math.max(tonumber(last) or -1, tonumber(own_last) or -1)
  return string.format('%d:', math.max(count, own_count)) .. (last < 0 and '' or string.format('%d', last))
end
for i = 5 + #packed + gone, #KEYS do
  if redis.call('HGET', KEYS[i], 'user_id') == ARGV[2] then removed = removed + redis.call('UNLINK', KEYS[i]) end
end
for i = 1, gone do remove(ARGV[i + 4], KEYS[i + 4 + #packed]) end
local removals = removed
for i = 1, #packed do
  local p, key = packed[i], KEYS[i + 4]
  p[5] = greater(redis.call('HGET', KEYS[3], p[1]), p[5])
  remove(p[1], key)
  store(key, p, string.sub(vectors, (i - 1) * size + 1, i * size))
end
return {raise(KEYS[2]), removals}
"""
)
_CHANGE: Final = LuaScript(WRITE + FENCE + _BODY)
_REMOVAL_ONLY: Final = LuaScript(REMOVE + _BODY)


class Commit:
    """The commits of one store.

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

    async def __call__(self, change: Change) -> int | None:
        """See ``MemoryStore.commit``; what only removes is done at maxmemory too, and while a reindex switches.

        In a cluster a memory of the Go router that gives way or goes is removed after the change was made.
        """
        require_single(record.id for record in change.put)
        gone = storable(change.remove)
        call = await self._packed(change, gone)
        run = self._fence.script if change.put else self._connection.script
        reply = await run(call.script, call.keys, call.args)
        if reply is None:
            return None
        generation, removed = reply
        if self._connection.cluster:
            await self._discard_untagged(change, [] if removed == len(gone) else gone)
        return int(generation)

    async def _packed(self, change: Change, gone: list[str]) -> ScriptCall:
        """Return the script call for a change.

        Raises:
            InvalidRequest: A text holds a lone surrogate.
        """
        try:
            if len(change.put) <= INLINE_RECORDS:
                return self._call(change, gone)
            return await asyncio.to_thread(self._call, change, gone)
        except UnicodeEncodeError:
            raise InvalidRequest(NOT_TEXT) from None

    def _call(self, change: Change, gone: list[str]) -> ScriptCall:
        owner = self._keys.of_user(change.user_id)
        bulk = pack_bulk(owner, change.put, dimension=self._dimension, embedding_model=self._embedding_model)
        keys = [*bulk.keys, *(owner.memory(memory_id) for memory_id in gone)]
        if not self._connection.cluster:  # there they stand in other slots
            keys += self._keys.untagged_of([*(record.id for record in change.put), *gone])
        script = _CHANGE if change.put else _REMOVAL_ONLY
        return ScriptCall(script, keys, [change.after, change.user_id, bulk.texts, bulk.vectors, *gone])

    async def _discard_untagged(self, change: Change, missing: list[str]) -> None:
        """Remove memories of the Go router, where there may be any."""
        scope = Scope(change.user_id, None)
        if self._index.state.legacy:
            await self._untagged.discard(scope, [record.id for record in change.put])
            missing = storable(change.remove)
        await self._untagged.delete(scope, EVERYTHING, missing)
