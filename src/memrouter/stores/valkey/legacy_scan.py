"""Reading all memories of the Go router, found by their keys: an index may be incomplete, and finds no odd names."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from memrouter.errors import InvalidRequest
from memrouter.models.memory import Scope, owner_key
from memrouter.stores.position import Position
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.legacy import Untagged
from memrouter.stores.valkey.scan_part import Part
from memrouter.stores.valkey.scripts import READ, LuaScript, ScriptCall

# KEYS memory. Returns its id, user, created_at and the bytes of its vector; nil where it is no memory.
_LOOK: Final = LuaScript(
    READ
    + """
local f = redis.call('HMGET', KEYS[1], 'id', 'user_id', 'created_at')
if not f[1] or not f[2] or redis.call('HEXISTS', KEYS[1], 'content') == 0 then return false end
return {f[1], f[2], f[3] or '0', redis.call('HSTRLEN', KEYS[1], 'embedding')}
"""
)


@dataclass(frozen=True, slots=True)
class Holding:
    """What the Go router keeps for one owner.

    Attributes:
        scope: The owner, in all projects.
        ages: ``created_at`` and id of each memory, oldest first.
    """

    scope: Scope
    ages: Sequence[tuple[int, str]]


class UntaggedScan:
    """The scans of one store's untagged memories.

    Args:
        connection: Runs the scripts.
        keys: Names the keys.
        untagged: Reads the memories.
        dimension: Length of the store's vectors.
    """

    def __init__(self, connection: Connection, keys: Keys, untagged: Untagged, *, dimension: int) -> None:
        self._connection = connection
        self._keys = keys
        self._untagged = untagged
        self._dimension = dimension

    async def holdings(self, user_id: str | None) -> dict[str, Holding]:
        """Return what there is for one user, as lists have it, or for all, by owner key: some 200 bytes a memory.

        Rows that are no memories are left out.
        """
        if user_id is not None:
            scope = Scope(user_id, None)
            found = await self._untagged.of(scope)
            return {scope.owner: Holding(scope, sorted((record.created_at, record.id) for record in found))}
        return await self._everyone()

    async def _everyone(self) -> dict[str, Holding]:
        ages: dict[str, set[tuple[int, str]]] = {}
        async for keys in self._connection.scan(self._keys.pattern):
            wanted = [key for key in keys if self._keys.is_untagged(key)]
            replies = await self._connection.scripts([ScriptCall(_LOOK, [key], []) for key in wanted])
            for key, reply in zip(wanted, replies, strict=True):
                found = None if reply is None else self._found(key, reply)
                if found is not None:
                    user, created_at, memory_id = found
                    ages.setdefault(user, set()).add((created_at, memory_id))
        return {owner_key(user): Holding(scope, sorted(ages[user])) for user in ages if (scope := _scope(user))}

    def _found(self, key: bytes, reply: Any) -> tuple[str, int, str] | None:
        try:
            memory_id, user, created_at = reply[0].decode(), reply[1].decode(), int(reply[2])
        except ValueError:
            return None
        fits = reply[3] == 4 * self._dimension and key == self._keys.untagged(memory_id).encode()
        return (user, created_at, memory_id) if fits else None

    async def part(self, owner: str, holding: Holding, start: Position | None, *, size: int) -> Part:
        """Return the next ``size`` memories of an owner behind ``start``; None begins anew."""
        first = 0 if start is None else bisect_right(holding.ages, (start.created_at, start.id))
        ages = holding.ages[first : first + size]
        records = await self._untagged.get(holding.scope, [memory_id for _, memory_id in ages])
        end = Position(owner, *ages[-1]) if ages else None
        return Part(records, end, more=first + size < len(holding.ages))


def _scope(user_id: str) -> Scope | None:
    try:
        return Scope(user_id, None)
    except InvalidRequest:
        return None
