"""All of a memory but its text and vector in one field, so that a read asks for three fields and not for twenty."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from memrouter.models.memory import MemoryRecord, MemoryType, Source, Trust, Vector
from memrouter.stores.trail import trail_of, with_trail
from memrouter.stores.vectors import to_matrix

Count: TypeAlias = tuple[int, int | None]
"""How often a memory was retrieved, and when last in milliseconds; None for never."""

PACKED_FIELDS: tuple[str, ...] = ("record", "content", "embedding")
"""The fields that reads of tagged memories ask for, in the order of a packed row."""


class _Parts(msgspec.Struct, array_like=True, gc=False):
    id: str
    user_id: str
    project_id: str
    memory_type: MemoryType
    source: Source
    created_at: int
    updated_at: int
    importance: float
    trust: Trust
    embedding_model: str
    conversation_id: str | None
    turn_index: int | None
    role: str | None
    expires_at: int | None
    superseded_by: str | None
    quarantine: str | None = None
    trail: str | None = None
    digest: str | None = None


PARTS: tuple[str, ...] = _Parts.__struct_fields__
"""What the field ``record`` holds, in its order: a JSON array of strings and nulls. In memories of format 1 the last
three parts may be missing."""

DIGEST_CHARS: Final = 20
"""How much of a content's digest is kept: 80 bits."""

_ROWS = msgspec.json.Decoder(list[_Parts], strict=False)  # not strict: numbers may stand in strings


def pack(record: MemoryRecord, *, digest: str) -> str:
    """Return the value of the field ``record``; ``digest`` is the ``twin_digest`` of the content."""
    values: tuple[str | None, ...] = (
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
        record.quarantine,
        trail_of(record),
        digest[:DIGEST_CHARS],
    )
    return msgspec.json.encode(values).decode()


def unpack(
    packed: Sequence[bytes], contents: Sequence[bytes], vectors: bytes, counts: Sequence[Count], *, dimension: int
) -> list[MemoryRecord]:
    """Return the memories behind packed rows, in their order.

    Args:
        packed: The field ``record`` of each row.
        contents: The field ``content`` of each row.
        vectors: The fields ``embedding`` of all rows in one.
        counts: For each row, how often it was retrieved and when last.
        dimension: Length of the vectors.

    Raises:
        ValueError: One of them is not a row that ``pack`` made.
    """
    parts = _ROWS.decode(b"[" + b",".join(packed) + b"]")
    matrix = to_matrix([vectors], dimension=len(parts) * dimension).reshape(len(parts), dimension)
    return [
        _record(part, content, vector, count)
        for part, content, vector, count in zip(parts, contents, matrix, counts, strict=True)
    ]


def _record(part: _Parts, content: bytes, vector: Vector, counted: Count) -> MemoryRecord:
    count, last = counted
    record = MemoryRecord(  # by position: half the time
        part.id, part.user_id, content.decode(), vector, part.embedding_model, part.created_at, part.updated_at,
        part.project_id, part.memory_type, part.source, part.trust, part.importance, last, part.expires_at, count,
        part.conversation_id, part.turn_index, part.role, part.superseded_by, part.quarantine,
    )  # fmt: skip
    return record if part.trail is None else with_trail(record, part.trail)
