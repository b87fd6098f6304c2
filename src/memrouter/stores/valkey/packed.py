"""All of a memory but its text and vector in one field, so that a read asks for three fields and not for twenty."""

import json
from collections.abc import Sequence
from typing import TypeAlias

from memrouter.models.memory import MemoryRecord, MemoryType, Source, Trust, Vector
from memrouter.stores.vectors import to_matrix

Count: TypeAlias = tuple[int, int | None]
"""How often a memory was retrieved, and when last in milliseconds; None for never."""

PARTS: tuple[str, ...] = (
    "id", "user_id", "project_id", "memory_type", "source", "created_at", "updated_at", "importance", "trust",
    "embedding_model", "conversation_id", "turn_index", "role", "expires_at", "superseded_by",
)  # fmt: skip
"""What the field ``record`` holds, in its order: a JSON array of strings and nulls."""

PACKED_FIELDS: tuple[str, ...] = ("record", "content", "embedding")
"""The fields that reads of tagged memories ask for, in the order of a packed row."""

_TYPES: dict[str | None, MemoryType] = {member.value: member for member in MemoryType}
_SOURCES: dict[str | None, Source] = {member.value: member for member in Source}
_TRUSTS: dict[str | None, Trust] = {member.value: member for member in Trust}


def pack(record: MemoryRecord) -> str:
    """Return the value of the field ``record``."""
    values = (
        record.id,
        record.user_id,
        record.project_id,
        record.type.value,
        record.source.value,
        str(record.created_at),
        str(record.updated_at),
        repr(float(record.importance)),
        record.trust.value,
        record.embedding_model,
        record.conversation_id,
        None if record.turn_index is None else str(record.turn_index),
        record.role,
        None if record.expires_at is None else str(record.expires_at),
        record.superseded_by,
    )
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def unpack(rows: Sequence[Sequence[bytes | None]], counts: Sequence[Count], *, dimension: int) -> list[MemoryRecord]:
    """Return the memories behind packed rows, in their order.

    Args:
        rows: Values of ``PACKED_FIELDS``; vectors are of the right length.
        counts: For each row, how often it was retrieved and when last.
        dimension: Length of the vectors.

    Raises:
        ValueError: One of them is not a row that ``pack`` made.
        KeyError: As before.
        TypeError: As before.
    """
    parts = json.loads(b"[" + b",".join([row[0] or b"" for row in rows]) + b"]")
    matrix = to_matrix([row[2] or b"" for row in rows], dimension=dimension)
    return [
        _record(part, row[1] or b"", vector, count)
        for part, row, vector, count in zip(parts, rows, matrix, counts, strict=True)
    ]


def _record(part: Sequence[str | None], content: bytes, vector: Vector, counted: Count) -> MemoryRecord:
    (
        memory_id, user, project, kind, source, created, updated, importance, trust,
        model, conversation, turn, role, expires, superseded,
    ) = part  # fmt: skip
    if memory_id is None or user is None or project is None or model is None:
        raise ValueError("a memory without an id, owner or model")
    return MemoryRecord(  # by position, since keywords take a third longer and this is done for every row
        memory_id,
        user,
        content.decode(),
        vector,
        model,
        int(created or 0),
        int(updated or 0),
        project,
        _TYPES[kind],
        _SOURCES[source],
        _TRUSTS[trust],
        float(importance or 0),
        counted[1],
        None if expires is None else int(expires),
        counted[0],
        conversation,
        None if turn is None else int(turn),
        role,
        superseded,
    )
