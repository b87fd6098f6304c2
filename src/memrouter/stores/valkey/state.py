"""Small facts beside the memories: a string each, under keys that no index covers."""

from collections.abc import AsyncIterator
from typing import Final

from memrouter.stores.state import StateEntry, check_name, check_value
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.scripts import RAISE_GENERATION, REMOVE, WRITE, LuaScript

GRACE_MS: Final = 60_000
"""How long the server keeps an entry that has expired: routers whose clocks differ agree all the same."""

_PAGE: Final = 100
"""Most entries that are in memory at a time while a space is read: 5 MB at most."""
_DROP: Final = 1000
"""Entries that one script removes."""

# KEYS clock, entries, entry; ARGV name, value, time, expires_at (empty: never), the version that must hold (empty:
# any), grace. Returns the version; nil, with nothing written, where another one holds. Names of entries that the server
# has removed meanwhile go on the way; the last entry of a space takes their list with it.
_PUT: Final = LuaScript(
    WRITE
    + RAISE_GENERATION
    + """
local name, value, now, expires_at, version, grace = unpack(ARGV)
local held, ends = string.match(redis.call('GET', KEYS[3]) or '', '^(%d+):(%d*):')
if not held or (ends ~= '' and tonumber(ends) <= tonumber(now)) then held = '0' end
if version ~= '' and version ~= held then return false end
local function rest(time) return string.format('%.0f', math.max(0, time - now) + grace) end
local following = raise(KEYS[1])
local entry = following .. ':' .. expires_at .. ':' .. value
if expires_at == '' then
  redis.call('SET', KEYS[3], entry)
else
  redis.call('SET', KEYS[3], entry, 'PX', rest(expires_at))
end
redis.call('ZADD', KEYS[2], expires_at == '' and '+inf' or expires_at, name)
for _, gone in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', now - grace, 'BYSCORE', 'LIMIT', 0, 100)) do
  redis.call('UNLINK', KEYS[2] .. ' ' .. gone)
  redis.call('ZREM', KEYS[2], gone)
end
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
if last == 'inf' then redis.call('PERSIST', KEYS[2]) elseif last then redis.call('PEXPIRE', KEYS[2], rest(last)) end
return following
"""
)

# KEYS entries, entry; ARGV name, the version that must hold (empty: any). Returns whether one was removed.
_REMOVE: Final = LuaScript(
    REMOVE
    + """
local held = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+):')
if not held or (ARGV[2] ~= '' and ARGV[2] ~= held) then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('UNLINK', KEYS[2])
"""
)

# KEYS entries; ARGV how many. Returns whether there are more.
_CLEAR: Final = LuaScript(
    REMOVE
    + """
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)) do
  redis.call('UNLINK', KEYS[1] .. ' ' .. name)
  redis.call('ZREM', KEYS[1], name)
end
return redis.call('EXISTS', KEYS[1])
"""
)


class ValkeyState:
    """Satisfies ``StateStore``. The entries of a space are in one slot, so that each write is one atomic step.

    A version is a time in microseconds, or one more than the last where that is greater: it rises although the server
    forgets an entry that has expired, and over a flush.

    Args:
        connection: Runs the commands; closed by the store.
        keys: Names the keys.
    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    async def get(self, space: str, key: str, *, now: int) -> StateEntry | None:
        """See ``StateStore.get``."""
        raw = await self._connection.run(["GET", self._keys.state(check_name(space)).entry(check_name(key))])
        return _entry(key, raw, now=now)

    async def put(
        self,
        space: str,
        key: str,
        value: bytes,
        *,
        now: int,
        expires_at: int | None = None,
        if_version: int | None = None,
    ) -> int | None:
        """See ``StateStore.put``; the server itself removes the entry a minute after it has expired."""
        keys = self._keys.state(check_name(space))
        version = await self._connection.script(
            _PUT,
            [keys.clock, keys.entries, keys.entry(check_name(key))],
            [
                key,
                check_value(value),
                now,
                "" if expires_at is None else expires_at,
                "" if if_version is None else if_version,
                GRACE_MS,
            ],
        )
        return None if version is None else int(version)

    async def remove(self, space: str, key: str, *, if_version: int | None = None) -> bool:
        """See ``StateStore.remove``."""
        keys = self._keys.state(check_name(space))
        names = [keys.entries, keys.entry(check_name(key))]
        return bool(await self._connection.script(_REMOVE, names, [key, "" if if_version is None else if_version]))

    async def entries(self, space: str, *, now: int) -> AsyncIterator[StateEntry]:
        """See ``StateStore.entries``; all names of the space are in memory meanwhile."""
        keys = self._keys.state(check_name(space))
        names = [name.decode() for name in await self._connection.run(["ZRANGE", keys.entries, 0, -1])]
        for first in range(0, len(names), _PAGE):
            page = names[first : first + _PAGE]
            values = await self._connection.pipeline([["GET", keys.entry(name)] for name in page])
            for name, raw in zip(page, values, strict=True):
                entry = _entry(name, raw, now=now)
                if entry is not None:
                    yield entry

    async def spaces(self, prefix: str = "") -> AsyncIterator[str]:
        """See ``StateStore.spaces``; looks through all keys of the server."""
        seen: set[str] = set()
        async for keys in self._connection.scan(self._keys.spaces_pattern(prefix), kind="zset"):
            for space in sorted({name for key in keys if (name := self._keys.space_of(key)) is not None} - seen):
                seen.add(space)
                yield space

    async def drop(self, space: str) -> None:
        """See ``StateStore.drop``; a thousand at a time."""
        keys = self._keys.state(check_name(space))
        while await self._connection.script(_CLEAR, [keys.entries], [_DROP]):
            pass


def _entry(key: str, raw: bytes | None, *, now: int) -> StateEntry | None:
    if raw is None:
        return None
    version, expires, value = raw.split(b":", 2)
    expires_at = int(expires) if expires else None
    if expires_at is not None and expires_at <= now:
        return None
    return StateEntry(key, value, int(version), expires_at)
