"""Moves memories of the Go router under their owners' keys and makes the search index anew, while routers serve."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import msgspec

from memrouter.errors import SchemaMismatch, StoreUnavailable
from memrouter.models.memory import MemoryRecord
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.index_info import FoundIndex
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.rows import access_entry, adopted_fields, row_of, to_record, twin_member
from memrouter.stores.valkey.schema import REINDEX
from memrouter.stores.valkey.scripts import PACKED, RAISE_GENERATION, TWINS, LuaScript, ScriptCall

BATCH: Final = 200
"""Memories that are moved in one pipeline."""

POLL_SECONDS: Final = 0.2
MAX_SWEEPS: Final = 5
"""A Go router that still writes makes work behind the sweep; what is left after these waits for the next rebuild."""

MAX_TRIES: Final = 5
NOTE_MS: Final = 3_600_000
"""How long a move is noted, so that two rebuilds at once do not take each other's moves for deletions."""

# KEYS: a memory as the Go router keeps it. Returns its fields, a digest of all that it holds, and when it expires.
_READ: Final = LuaScript("""
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return false end
return {redis.call('HGETALL', KEYS[1]), redis.sha1hex(redis.call('DUMP', KEYS[1])), redis.call('PEXPIRETIME', KEYS[1])}
""")

# KEYS: memory, ids, generation, access, content of the owner. ARGV: id, created_at, updated_at, access entry, content
# member, then fields and values. A memory that is there already is only replaced by a later version of itself.
_TAKE: Final = (
    RAISE_GENERATION
    + PACKED
    + TWINS
    + """
if tonumber(redis.call('HGET', KEYS[1], 'updated_at') or '-1') < tonumber(ARGV[3]) then
  forget_twin(KEYS[5], KEYS[1], ARGV[1])
  redis.call('UNLINK', KEYS[1])
  redis.call('HSET', KEYS[1], unpack(ARGV, 6))
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
  redis.call('ZADD', KEYS[5], 0, ARGV[5])
  if ARGV[4] ~= '' then redis.call('HSETNX', KEYS[4], ARGV[1], ARGV[4]) end
  raise(KEYS[3])
end
"""
)

# As _TAKE, with the old key last in KEYS and the digest of what was read last in ARGV: one server, one step. Returns 1,
# or 0 where the old key has changed.
_MOVE: Final = LuaScript(
    """
local digest = table.remove(ARGV)
local dump = redis.call('DUMP', KEYS[6])
if not dump or redis.sha1hex(dump) ~= digest then return 0 end
"""
    + _TAKE
    + "redis.call('UNLINK', KEYS[6]) return 1"
)

# A cluster has the two keys in different slots, so there it takes two steps, and a third where a memory was deleted.
_COPY: Final = LuaScript(_TAKE)

# KEYS: the old key, a note that it was moved. ARGV: digest of what was read, lifetime of the note in milliseconds.
# Returns 1 if it was moved, by us or by another rebuild; 0 if it has changed; -1 if it was deleted.
_DISCARD: Final = LuaScript("""
local dump = redis.call('DUMP', KEYS[1])
if not dump then return redis.call('EXISTS', KEYS[2]) == 1 and 1 or -1 end
if redis.sha1hex(dump) ~= ARGV[1] then return 0 end
redis.call('UNLINK', KEYS[1])
redis.call('SET', KEYS[2], '', 'PX', ARGV[2])
return 1
""")

# KEYS: as _TAKE. ARGV: id, updated_at, content member. Takes back the copy of a memory that was deleted meanwhile.
_REVOKE: Final = LuaScript(
    RAISE_GENERATION
    + """
if redis.call('HGET', KEYS[1], 'updated_at') ~= ARGV[2] then return 0 end
redis.call('UNLINK', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[3])
redis.call('HDEL', KEYS[4], ARGV[1])
raise(KEYS[3])
return 1
"""
)


@dataclass(frozen=True, slots=True)
class RebuildProgress:
    """How far a rebuild has come.

    Attributes:
        phase: ``moving`` memories to their owners' keys, then ``indexing`` them, then ``done``.
        seen: Keys looked at.
        moved: Memories that were moved.
        unusable: Rows that are no memories, whose vectors have another length or whose ids hold a brace; they stay.
        indexed: Share of the memories that the new index holds, 0 to 1.
    """

    phase: Literal["moving", "indexing", "done"] = "moving"
    seen: int = 0
    moved: int = 0
    unusable: int = 0
    indexed: float = 0.0


@dataclass(frozen=True, slots=True)
class _Old:
    """A memory of the Go router as it was read."""

    key: bytes
    digest: bytes
    fields: Mapping[bytes, bytes]
    record: MemoryRecord


class Rebuild:
    """One rebuild. It may be interrupted at any point and run again; two at once do each other no harm.

    Every memory is moved in one step (in a cluster: copied, then removed where it was), so a reader that looks at the
    old keys first and at the owner's keys second misses none.

    Args:
        connection: Runs the commands.
        index: The index to make anew.
        embedding_model: Name of the embedder's model, for rows that do not name theirs.
        on_progress: Is told after every step.
        batch: Memories that are moved in one pipeline.
    """

    def __init__(
        self,
        connection: Connection,
        index: SearchIndex,
        *,
        embedding_model: str,
        on_progress: Callable[[RebuildProgress], None],
        batch: int = BATCH,
    ) -> None:
        self._connection = connection
        self._index = index
        self._model = embedding_model
        self._on_progress = on_progress
        self._batch = batch
        self._keys = Keys(index.schema.prefix)
        self._progress = RebuildProgress()

    async def run(self) -> RebuildProgress:
        """Move what has to be moved, replace the index, and return when it is filled.

        Raises:
            SchemaMismatch: The vectors are of another model or dimension, which no new index can mend.
            StoreUnavailable: The server cannot be reached or refuses a step; run it again.
        """
        await self._index.check_server()
        self._index.check_meta(await self._index.meta())
        found = await self._index.find()
        if found is not None:
            self._check_vectors(found)
        for _ in range(MAX_SWEEPS):
            if not await self._sweep():
                break
        await self._replace_index()
        return self._tell(phase="done", indexed=1.0)

    def _check_vectors(self, found: FoundIndex) -> None:
        dimension = found.vector.dimension if found.vector else None
        if dimension not in (None, self._index.schema.dimension) and found.documents:
            raise SchemaMismatch(
                f"the memories have vectors of {dimension} numbers, but {self._index.schema.dimension} are configured: "
                f"a new index would find none of them. Set embedding_model back, or run: {REINDEX}"
            )

    async def _sweep(self) -> int:
        """Move every memory that lies under a key without an owner; return how many were moved."""
        before, unusable = self._progress.moved, 0
        async for keys in self._connection.scan(self._keys.pattern):
            self._tell(seen=self._progress.seen + len(keys))
            untagged = list({key for key in keys if self._keys.is_untagged(key)})
            for start in range(0, len(untagged), self._batch):
                unusable += await self._move(untagged[start : start + self._batch])
                self._tell(unusable=max(unusable, self._progress.unusable))
        return self._progress.moved - before

    async def _move(self, keys: Sequence[bytes]) -> int:
        """Move the memories at these keys; return how many are none. Those that change meanwhile are tried again."""
        unusable, left = 0, list(keys)
        for _ in range(MAX_TRIES):
            old, bad = await self._read(left)
            unusable += bad
            moved = await (self._move_over_slots(old) if self._connection.cluster else self._move_at_once(old))
            self._tell(moved=self._progress.moved + sum(moved))
            left = [one.key for one, done in zip(old, moved, strict=True) if not done]
            if not left:
                break
        return unusable

    async def _read(self, keys: Sequence[bytes]) -> tuple[list[_Old], int]:
        """Return the memories at these keys, and how many rows are no memories; keys that are gone count as neither."""
        replies = await self._connection.scripts([ScriptCall(_READ, [key], []) for key in keys])
        rows = [(key, reply) for key, reply in zip(keys, replies, strict=True) if reply]
        old = [self._old(key, *reply) for key, reply in rows]
        usable = [one for one in old if one is not None]
        return usable, len(old) - len(usable)

    def _old(self, key: bytes, pairs: Any, digest: bytes, expires_at: int) -> _Old | None:
        fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
        record = to_record(row_of(fields), None, dimension=self._index.schema.dimension, embedding_model=self._model)
        if record is None or not record.user_id or key != self._keys.untagged(record.id).encode() or b"}" in key:
            return None
        if expires_at > 0:
            record = msgspec.structs.replace(record, expires_at=expires_at)
        return _Old(key, digest, fields, record)

    async def _move_at_once(self, old: Sequence[_Old]) -> list[bool]:
        calls = [
            ScriptCall(_MOVE, [*self._keys_of(one.record), one.key], [*self._arguments(one), one.digest]) for one in old
        ]
        return [reply == 1 for reply in await self._connection.scripts(calls)]

    async def _move_over_slots(self, old: Sequence[_Old]) -> list[bool]:
        """Copy, then remove. A copy whose original was deleted meanwhile is taken back; one that changed is renewed."""
        await self._connection.scripts(
            [ScriptCall(_COPY, self._keys_of(one.record), self._arguments(one)) for one in old]
        )
        replies = await self._connection.scripts(
            [ScriptCall(_DISCARD, [one.key, _note(one.key)], [one.digest, NOTE_MS]) for one in old]
        )
        deleted = [one.record for one, reply in zip(old, replies, strict=True) if reply == -1]
        await self._connection.scripts(
            [
                ScriptCall(_REVOKE, self._keys_of(record), [record.id, record.updated_at, twin_member(record)])
                for record in deleted
            ]
        )
        return [reply == 1 for reply in replies]

    def _keys_of(self, record: MemoryRecord) -> list[str | bytes]:
        keys = self._keys.of_user(record.user_id)
        return [keys.memory(record.id), keys.ids, keys.generation, keys.access, keys.content]

    def _arguments(self, one: _Old) -> list[str | bytes | int]:
        """Return the arguments of _TAKE: the old fields with what the new layout adds, without the access counts."""
        record = one.record
        fields: dict[bytes, str | bytes] = {
            **one.fields,
            **{name.encode(): value for name, value in adopted_fields(record).items()},
        }
        if record.expires_at is not None:
            fields[b"expires_at"] = str(record.expires_at)
        fields.pop(b"access_count", None)
        entry = access_entry(record.access_count, record.last_accessed)
        flat = [part for pair in fields.items() for part in pair]
        return [
            record.id, record.created_at, record.updated_at, entry, twin_member(record), *flat,
        ]  # fmt: skip

    async def _replace_index(self) -> None:
        self._tell(phase="indexing")
        await self._index.claim(legacy=False)  # first, so that no router makes the old index again in between
        for _ in range(MAX_TRIES):
            await self._index.drop()
            if await self._index.create():
                break
        while True:
            state = await self._index.recreate_if_missing()
            if state.paused:
                raise StoreUnavailable(state.trouble)
            self._tell(indexed=state.progress)
            if not state.backfilling:
                return
            await asyncio.sleep(POLL_SECONDS)

    def _tell(self, **changes: Any) -> RebuildProgress:
        self._progress = replace(self._progress, **changes)
        self._on_progress(self._progress)
        return self._progress


def _note(key: bytes) -> bytes:
    """Return the key that notes a move; the old key as its hash tag puts both into one slot."""
    return b"~moved:{" + key + b"}"
