"""Memories as the Go router keeps them: found by the ``user_id`` TAG of its index, or by id under an untagged key."""

from collections.abc import Sequence
from typing import Any

from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.query import EVERYTHING, Filter
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.errors import ServerRefused
from memrouter.stores.valkey.escape import user_clause
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.reader import RowReader
from memrouter.stores.valkey.rows import FIELDS
from memrouter.stores.valkey.scripts import COUNT_UNTAGGED, DELETE_UNTAGGED, RAISE, Arg, ScriptCall
from memrouter.stores.valkey.selection import selection

MAX_KEYS = 100_000
"""Most memories of one user that an index of the Go router is asked for."""

_PART = 500


class Untagged:
    """The untagged memories of one store.

    They stand in other slots than their owner's keys, so the generation is raised after a change, not with it.

    Args:
        connection: Runs the commands.
        keys: Names the keys.
        index: The search index.
        reader: Reads the rows.
    """

    def __init__(self, connection: Connection, keys: Keys, index: SearchIndex, reader: RowReader) -> None:
        self._connection = connection
        self._keys = keys
        self._index = index
        self._reader = reader

    async def of(self, scope: Scope) -> list[MemoryRecord]:
        """Return all untagged memories of a scope that the index finds, hidden ones included."""
        clause = user_clause(scope.user_id)
        if clause is None:
            return []
        query: list[Arg] = [
            "FT.SEARCH", self._index.schema.name, clause, "RETURN", 1, "id", "LIMIT", 0, MAX_KEYS, "DIALECT", 2,
        ]  # fmt: skip
        try:
            reply = await self._connection.run(query)
        except ServerRefused as error:
            state = await self._index.recreate_if_missing()
            if state.legacy and not error.index_missing:
                raise
            return []
        prefix = self._keys.prefix.encode()
        found = [key for key in keys_of(reply) if self._keys.parse(key) is None]
        return await self.get(scope, [key.removeprefix(prefix).decode(errors="replace") for key in found])

    async def get(self, scope: Scope, ids: Sequence[str]) -> list[MemoryRecord]:
        """Return the untagged memories of a scope with these ids, in their order, hidden ones included."""
        records: list[MemoryRecord] = []
        access = self._keys.of_scope(scope).access
        for first in range(0, len(ids), _PART):
            part = ids[first : first + _PART]
            reads: list[list[Arg]] = [["HMGET", self._keys.untagged(memory_id), *FIELDS] for memory_id in part]
            *rows, entries = await self._connection.pipeline([*reads, ["HMGET", access, *part]])
            records += await self._reader.records(scope, rows, entries)
        return records

    async def touch(self, scope: Scope, ids: Sequence[str], now: int) -> int:
        """Count one access for each visible untagged memory among ``ids``, apart from its HASH."""
        living = [record for record in await self.get(scope, ids) if record.visible(now)]
        if not living:
            return 0
        args: list[Arg] = [now]
        for record in living:
            args += [record.id, record.access_count]
        await self._connection.script(COUNT_UNTAGGED, [self._keys.of_scope(scope).access], args)
        return len(living)

    async def delete(self, scope: Scope, where: Filter, ids: Sequence[str]) -> int:
        """Remove the untagged memories of a scope with these ids that match; return how many."""
        removed = await self._remove(scope, where, ids)
        for first in range(0, len(removed), _PART):
            await self._connection.run(["HDEL", self._keys.of_scope(scope).access, *removed[first : first + _PART]])
        return len(removed)

    async def discard(self, scope: Scope, ids: Sequence[str]) -> None:
        """Remove the untagged memories of a scope with these ids, in whose place others stand that keep the counts."""
        await self._remove(scope, EVERYTHING, ids)

    async def _remove(self, scope: Scope, where: Filter, ids: Sequence[str]) -> list[str]:
        owner = self._keys.of_scope(scope)
        chosen = selection(owner.base, scope, where, now=0, show="any")
        removed: list[str] = []
        own = [memory_id for memory_id in ids if self._keys.untagged_of([memory_id])]
        for first in range(0, len(own), _PART):
            part = own[first : first + _PART]
            calls = [ScriptCall(DELETE_UNTAGGED, [self._keys.untagged(memory_id)], chosen) for memory_id in part]
            replies = await self._connection.scripts(calls)
            gone = [memory_id for memory_id, number in zip(part, replies, strict=True) if number]
            if gone:
                await self._connection.script(RAISE, [owner.generation], [])
            removed += gone
        return removed


def keys_of(reply: Any) -> list[bytes]:
    """Return the keys in a reply of FT.SEARCH, whichever form the client gives it."""
    return [
        key for part in reply[1:] for key in (part if isinstance(part, dict) else (part,)) if isinstance(key, bytes)
    ]
