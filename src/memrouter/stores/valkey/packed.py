"""All of a memory but its text and vector in one field, so that a read asks for three fields and not for twenty."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

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

_Parts: TypeAlias = tuple[
    str, str, str, MemoryType, Source, int, int, float, Trust,
    str, str | None, int | None, str | None, int | None, str | None,
]  # fmt: skip

_ROWS = msgspec.json.Decoder(list[_Parts], strict=False)  # not strict: numbers may stand in strings


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
    return msgspec.json.encode(values).decode()


def unpack(rows: Sequence[Sequence[bytes | None]], counts: Sequence[Count], *, dimension: int) -> list[MemoryRecord]:
    """Return the memories behind packed rows, in their order.

    Args:
        rows: Values of ``PACKED_FIELDS``; vectors are of the right length.
        counts: For each row, how often it was retrieved and when last.
        dimension: Length of the vectors.

    Raises:
        ValueError: One of them is not a row that ``pack`` made.
    """
    parts = _ROWS.decode(b"[" + b",".join([row[0] or b"" for row in rows]) + b"]")
    matrix = to_matrix([row[2] or b"" for row in rows], dimension=dimension)
    return [
        _record(part, row[1] or b"", vector, count)
        for part, row, vector, count in zip(parts, rows, matrix, counts, strict=True)
    ]


def _record(part: _Parts, content: bytes, vector: Vector, counted: Count) -> MemoryRecord:
    (
        memory_id, user, project, kind, source, created, updated, importance, trust,
        model, conversation, turn, role, expires, superseded,
    ) = part  # fmt: skip
    count, last = counted
    return MemoryRecord(  # by position: half the time
        memory_id, user, content.decode(), vector, model, created, updated,
        project, kind, source, trust, importance, last, expires, count, conversation, turn, role, superseded,
    )  # fmt: skip
