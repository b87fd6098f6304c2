"""Reading everything that is kept: owner after owner, oldest first, by scripts on their slots, without the index."""

from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.position import Position
from memrouter.stores.query import ScanPage, ScanQuery
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.legacy_scan import Holding, UntaggedScan
from memrouter.stores.valkey.reader import RowReader
from memrouter.stores.valkey.scan_part import Part
from memrouter.stores.valkey.scripts import BEFORE, READ, ROW, LuaScript, ScriptCall

COUNT_STEP: Final = 2000
"""Memories that one script counts: under 1 ms of the server's time."""

_OWNERS_AT_ONCE: Final = 256
_BACKEND: Final = "valkey"

# KEYS ids, access; ARGV key base, created_at and id of the last one seen (id empty at first), how many. Returns id and
# created_at of the last one, how many there were, rows, access entries. Where the last one is gone, the memories of its
# millisecond are passed by up to its id.
_OLDEST: Final = LuaScript(
    READ
    + ROW
    + BEFORE
    + """
local created, id, size = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local function behind()
  if id == '' then return 0 end
  local score = redis.call('ZSCORE', KEYS[1], id)
  if score and tonumber(score) == created then return redis.call('ZRANK', KEYS[1], id) + 1 end
  local start = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[2])
  while true do
    local batch = redis.call('ZRANGE', KEYS[1], start, start + size - 1, 'WITHSCORES')
    for i = 1, #batch, 2 do
      if tonumber(batch[i + 1]) > created or before(id, batch[i]) then return start + (i - 1) / 2 end
    end
    if #batch == 0 then return start end
    start = start + #batch / 2
  end
end
local start = behind()
local batch = redis.call('ZRANGE', KEYS[1], start, start + size - 1, 'WITHSCORES')
local rows, ids = {}, {}
for i = 1, #batch, 2 do
  ids[#ids + 1] = batch[i]
  rows[#rows + 1] = row(ARGV[1] .. batch[i])
end
return {batch[#batch - 1] or '', batch[#batch] or '0', #ids, rows, access_of(KEYS[2], ids)}
"""
)

# KEYS ids; ARGV key base, rank of the first one to look at, how many to look at. Returns how many were looked at and
# how many of them are kept.
_COUNT: Final = LuaScript(
    READ
    + """
local keys = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[2] + ARGV[3] - 1)
for i = 1, #keys do keys[i] = ARGV[1] .. keys[i] end
return {#keys, #keys > 0 and redis.call('EXISTS', unpack(keys)) or 0}
"""
)


class Scan:
    """The scans of one store.

    In memory are the owners' keys, about 100 bytes each, and, as long as memories of the Go router were not moved,
    about 200 bytes for each of those.

    Args:
        connection: Runs the scripts.
        keys: Names the keys.
        index: Tells whether there are memories of the Go router.
        reader: Reads the rows.
        untagged: Memories of the Go router.
    """

    def __init__(
        self, connection: Connection, keys: Keys, index: SearchIndex, *, reader: RowReader, untagged: UntaggedScan
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._index = index
        self._reader = reader
        self._untagged = untagged

    async def pages(self, query: ScanQuery) -> AsyncIterator[ScanPage]:
        """See ``MemoryStore.scan``; owners whose memories fit a page together share one."""
        after = None if query.after is None else Position.decode(query.after, backend=_BACKEND)
        owners, holdings = await self._owners(query.user_id)
        first = 0 if after is None else bisect_left(owners, after.owner)
        async for group in self._groups(owners[first:], holdings, query.page):
            left = group
            while left:
                records: list[MemoryRecord] = []
                for part in await self._parts(left, holdings, after, query.page):
                    records += [record for record in part.records if query.where.holds(record)]
                    after = part.end or after
                    if part.more:
                        break
                    left = left[1:]
                if records and after is not None:
                    yield ScanPage(records=records, position=after.encode(backend=_BACKEND))

    async def count(self, user_id: str | None) -> int:
        """See ``MemoryStore.count``."""
        owners, holdings = await self._owners(user_id)
        total = sum(len(holding.ages) for holding in holdings.values())
        for first in range(0, len(owners), _OWNERS_AT_ONCE):
            left, start = owners[first : first + _OWNERS_AT_ONCE], 0
            while left:
                keys = [self._keys.of(owner) for owner in left]
                calls = [ScriptCall(_COUNT, [owner.ids], [owner.base, start, COUNT_STEP]) for owner in keys]
                replies = await self._connection.scripts(calls)
                total += sum(number for _, number in replies)
                left = [owner for owner, (looked, _) in zip(left, replies, strict=True) if looked == COUNT_STEP]
                start += COUNT_STEP
        return total

    async def _owners(self, user_id: str | None) -> tuple[list[str], Mapping[str, Holding]]:
        """Return the sorted keys of the owners that have memories, and those of the Go router by owner key.

        The Go router's are looked for first: a rebuild moves them away from there, never back, so that none is missed.
        """
        holdings = await self._untagged.holdings(user_id) if self._index.state.legacy else {}
        if user_id is not None:
            return [Scope(user_id).owner], holdings
        found = set(holdings)
        async for keys in self._connection.scan(self._keys.owners_pattern, kind="zset"):
            found.update(owner for key in keys if (owner := self._keys.owner_of(key)) is not None)
        return sorted(found), holdings

    async def _groups(
        self, owners: Sequence[str], holdings: Mapping[str, Holding], page: int
    ) -> AsyncIterator[Sequence[str]]:
        """Yield the owners in their order, together those whose memories fit one page."""
        for first in range(0, len(owners), _OWNERS_AT_ONCE):
            part = owners[first : first + _OWNERS_AT_ONCE]
            sizes = await self._connection.pipeline([["ZCARD", self._keys.of(owner).ids] for owner in part])
            begun, filled = 0, 0
            for place, (owner, size) in enumerate(zip(part, sizes, strict=True)):
                number = size + (len(holdings[owner].ages) if owner in holdings else 0)
                if filled + number > page and place > begun:
                    yield part[begun:place]
                    begun, filled = place, 0
                filled += number
            yield part[begun:]

    async def _parts(
        self, owners: Sequence[str], holdings: Mapping[str, Holding], after: Position | None, page: int
    ) -> list[Part]:
        """Return the next memories of each owner; ``after`` counts for its own owner only."""
        starts = [after if after is not None and after.owner == owner else None for owner in owners]
        untagged = [
            await self._untagged.part(owner, holdings[owner], start, size=page) if owner in holdings else None
            for owner, start in zip(owners, starts, strict=True)
        ]
        calls = [self._call(owner, start, page) for owner, start in zip(owners, starts, strict=True)]
        replies = await self._connection.scripts(calls)
        rows = [(owner, reply[3], reply[4]) for owner, reply in zip(owners, replies, strict=True)]
        records = await self._reader.of_owners(rows)
        parts = [
            Part(found, _end(owner, reply), more=reply[2] == page)
            for owner, reply, found in zip(owners, replies, records, strict=True)
        ]
        return [part if other is None else other.joined(part) for part, other in zip(parts, untagged, strict=True)]

    def _call(self, owner: str, start: Position | None, page: int) -> ScriptCall:
        keys = self._keys.of(owner)
        created_at, memory_id = (0, "") if start is None else (start.created_at, start.id)
        return ScriptCall(_OLDEST, [keys.ids, keys.access], [keys.base, created_at, memory_id, page])


def _end(owner: str, reply: Sequence[Any]) -> Position | None:
    """Return the position behind what ``_OLDEST`` saw."""
    memory_id, created_at, looked = reply[:3]
    return Position(owner, int(float(created_at)), memory_id.decode()) if looked else None
