"""All of a memory but its text and vector in one field, so that a read asks for three fields and not for twenty."""

import json

import numpy as np

from memrouter.models.memory import MemoryRecord, MemoryType, Source, Trust

PARTS: tuple[str, ...] = (
    "id", "user_id", "project_id", "memory_type", "source", "created_at", "updated_at", "importance", "trust",
    "embedding_model", "conversation_id", "turn_index", "role", "expires_at", "superseded_by",
)  # fmt: skip
"""What the field ``record`` holds, in its order: a JSON array of strings and nulls."""

PACKED_FIELDS: tuple[str, ...] = ("record", "content", "embedding")
"""The fields that reads of tagged memories ask for, in the order of a packed row."""

_TYPES = {member.value: member for member in MemoryType}
_SOURCES = {member.value: member for member in Source}
_TRUSTS = {member.value: member for member in Trust}


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


def unpack(packed: bytes, content: bytes, embedding: bytes, count: int, last: int | None) -> MemoryRecord:
    """Return the memory behind a packed row.

    Args:
        packed: Value of ``record``.
        content: UTF-8 text.
        embedding: Little-endian float32.
        count: How often it was retrieved.
        last: When it was last retrieved, in milliseconds; None if never.

    Raises:
        ValueError: Not a row that ``pack`` made.
        KeyError: As before.
    """
    (
        memory_id, user, project, kind, source, created, updated, importance, trust,
        model, conversation, turn, role, expires, superseded,
    ) = json.loads(packed)  # fmt: skip
    return MemoryRecord(
        id=memory_id,
        user_id=user,
        content=content.decode(),
        embedding=np.frombuffer(embedding, dtype="<f4"),
        embedding_model=model,
        created_at=int(created),
        updated_at=int(updated),
        project_id=project,
        type=_TYPES[kind],
        source=_SOURCES[source],
        trust=_TRUSTS[trust],
        importance=float(importance),
        last_accessed=last,
        expires_at=None if expires is None else int(expires),
        access_count=count,
        conversation_id=conversation,
        turn_index=None if turn is None else int(turn),
        role=role,
        superseded_by=superseded,
    )
