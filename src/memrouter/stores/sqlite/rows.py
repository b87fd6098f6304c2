"""A memory as a row of the database, and back."""

from collections.abc import Sequence
from typing import Any

from memrouter.models.memory import Matrix, MemoryRecord, MemoryType, Source, Trust, content_digest
from memrouter.stores.vectors import require_model, to_bytes, to_matrix

INSERT = """
INSERT INTO memories (owner, id, user_id, project_id, type, content, digest, source, trust, importance, created_at,
    updated_at, expires_at, conversation_id, turn_index, role, superseded_by, embedding)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

SELECT = """
SELECT m.embedding, m.id, m.user_id, m.project_id, m.type, m.content, m.source, m.trust, m.importance, m.created_at,
    m.updated_at, m.expires_at, m.conversation_id, m.turn_index, m.role, m.superseded_by,
    coalesce(a.access_count, 0), a.last_accessed
FROM memories AS m LEFT JOIN access AS a ON a.memory = m.key
"""

NEWEST_FIRST = "ORDER BY m.created_at DESC, m.id DESC"

Row = tuple[Any, ...]

_TYPES = {member.value: member for member in MemoryType}
_SOURCES = {member.value: member for member in Source}
_TRUSTS = {member.value: member for member in Trust}


def digest(content: str) -> bytes:
    """Return the digest under which equal contents are found."""
    return bytes.fromhex(content_digest(content))


def to_row(record: MemoryRecord, owner: int, *, dimension: int, embedding_model: str) -> Row:
    """Return the values for ``INSERT``.

    Raises:
        SchemaMismatch: The vector does not fit the store.
    """
    require_model(record.embedding_model, embedding_model=embedding_model)
    return (
        owner,
        record.id,
        record.user_id,
        record.project_id,
        record.type,
        record.content,
        digest(record.content),
        record.source,
        record.trust,
        record.importance,
        record.created_at,
        record.updated_at,
        record.expires_at,
        record.conversation_id,
        record.turn_index,
        record.role,
        record.superseded_by,
        to_bytes(record.embedding, dimension=dimension),
    )


def to_records(rows: Sequence[Row], *, dimension: int, embedding_model: str) -> tuple[list[MemoryRecord], Matrix]:
    """Return the memories behind rows of ``SELECT``, in their order, and their vectors as one read-only matrix."""
    matrix = to_matrix([row[0] for row in rows], dimension=dimension)
    records = [
        MemoryRecord(
            id=row[1],
            user_id=row[2],
            content=row[5],
            embedding=vector,
            embedding_model=embedding_model,
            created_at=row[9],
            updated_at=row[10],
            project_id=row[3],
            type=_TYPES[row[4]],
            source=_SOURCES[row[6]],
            trust=_TRUSTS[row[7]],
            importance=row[8],
            last_accessed=row[17],
            expires_at=row[11],
            access_count=row[16],
            conversation_id=row[12],
            turn_index=row[13],
            role=row[14],
            superseded_by=row[15],
        )
        for row, vector in zip(rows, matrix, strict=True)
    ]
    return records, matrix
