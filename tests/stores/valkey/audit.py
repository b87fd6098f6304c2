"""Whether the keys of a user belong together: every memory in every list, and nothing in a list that is no memory."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from memrouter.config.memory import ValkeySettings
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.keys import Keys, OwnerKeys
from memrouter.stores.valkey.packed import PACKED_FIELDS
from memrouter.stores.valkey.reader import RowReader
from memrouter.stores.valkey.rows import access_count, to_fields, twin_member
from memrouter.testing.records import text_vector


async def audit(
    connection: Connection, settings: ValkeySettings, user_id: str = "alice", *, dimension: int = 16
) -> list[str]:
    """Return what is wrong with the keys of a user; for the memories of one embedding model, ``test-model``."""
    keys = Keys(settings.collection_prefix).of_user(user_id)
    hashes = await _hashes(connection, keys)
    ids = _pairs(await connection.run(["ZRANGE", keys.ids, 0, -1, "WITHSCORES"]))
    content = set(await connection.run(["ZRANGE", keys.content, 0, -1]))
    access = await connection.run(["HGETALL", keys.access])
    found = await _indexed(connection, settings, Scope(user_id), dimension=dimension, size=len(hashes))
    waiting = set(await connection.run(["HKEYS", keys.next_vectors]))
    records = {name: _record(Scope(user_id, None), fields, dimension) for name, fields in hashes.items()}
    kept = {name: record for name, record in records.items() if record is not None}
    return [
        *(f"unreadable: {name!r}" for name in sorted(records.keys() - kept.keys())),
        *_differing("ids", set(ids), set(hashes)),
        *_differing("contents", content, {twin_member(record).encode() for record in kept.values()}),
        *_differing("index", found, {keys.memory(name.decode()).encode() for name in hashes}),
        *(f"access of no memory: {name!r}" for name in access.keys() - hashes.keys()),
        *(f"access entry: {entry!r}" for entry in access.values() if access_count(entry) == (0, None)),
        *(f"new vector of no memory: {name!r}" for name in waiting - hashes.keys()),
        *(f"time of {name!r}" for name in kept.keys() & ids.keys() if float(ids[name]) != kept[name].created_at),
        *(problem for name, record in kept.items() for problem in _fields_differing(hashes[name], record, dimension)),
    ]


async def _hashes(connection: Connection, keys: OwnerKeys) -> dict[bytes, Mapping[bytes, bytes]]:
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", keys.base) + "*"
    names = {name async for part in connection.scan(pattern, kind=None) for name in part}
    return {name.removeprefix(keys.base.encode()): await connection.run(["HGETALL", name]) for name in names}


async def _indexed(
    connection: Connection, settings: ValkeySettings, scope: Scope, *, dimension: int, size: int
) -> set[bytes]:
    """Return the keys that the index finds for a user, hidden memories included."""
    reply = await connection.run(
        [
            "FT.SEARCH", settings.index_name, f"(@owner:{{{scope.owner}}})=>[KNN {size + 50} @embedding $vector]",
            "PARAMS", 2, "vector", text_vector("any", dimension).tobytes(), "RETURN", 1, "id",
            "LIMIT", 0, size + 50, "DIALECT", 2,
        ],
        beside=Keys(settings.collection_prefix).of_scope(scope).ids,
    )  # fmt: skip
    return {key for part in reply[1:] if isinstance(part, dict) for key in part}


def _record(scope: Scope, fields: Mapping[bytes, bytes], dimension: int) -> MemoryRecord | None:
    row = [fields.get(name.encode()) for name in PACKED_FIELDS]
    found = RowReader(dimension=dimension, embedding_model="test-model").read(scope, [row], [None])
    return found[0] if found else None


def _differing(what: str, held: set[bytes], expected: set[bytes]) -> Iterator[str]:
    for name in sorted(held - expected):
        yield f"{what}: {name!r} of no memory"
    for name in sorted(expected - held):
        yield f"{what}: {name!r} missing"


def _fields_differing(fields: Mapping[bytes, bytes], record: MemoryRecord, dimension: int) -> Iterator[str]:
    wanted: dict[str, Any] = dict(to_fields(record, dimension=dimension, embedding_model="test-model"))
    expected = {name.encode(): value if isinstance(value, bytes) else value.encode() for name, value in wanted.items()}
    for name in sorted(fields.keys() | expected.keys()):
        if fields.get(name) != expected.get(name):
            yield f"field {name.decode()} of {record.id}"


def _pairs(flat: Sequence[bytes] | Mapping[bytes, float]) -> dict[bytes, float]:
    if isinstance(flat, Mapping):
        return dict(flat)
    return {name: float(score) for name, score in zip(flat[::2], flat[1::2], strict=True)}
