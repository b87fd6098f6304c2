"""A memory as a row of the database, and back."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from memrouter.models.memory import Matrix, MemoryRecord, MemoryType, Source, Trust, Vector, content_digest
from memrouter.stores.sqlite.compile import Value
from memrouter.stores.trail import trail_of, with_trail
from memrouter.stores.vectors import require_model, to_bytes, to_matrix

_COLUMNS = """(owner, id, user_id, project_id, type, content, digest, source, trust, importance, created_at,
    updated_at, expires_at, conversation_id, turn_index, role, superseded_by, embedding, quarantine, trail)"""
_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_MOST_ROWS = 32
"""Most rows of one statement."""

INSERT = f"INSERT INTO memories {_COLUMNS} VALUES {_ROW}"  # noqa: S608 - fixed text

PUT = f"""{INSERT}
ON CONFLICT (id) DO UPDATE SET project_id = excluded.project_id, type = excluded.type, content = excluded.content,
    digest = excluded.digest, source = excluded.source, trust = excluded.trust, importance = excluded.importance,
    created_at = excluded.created_at, updated_at = excluded.updated_at, expires_at = excluded.expires_at,
    conversation_id = excluded.conversation_id, turn_index = excluded.turn_index, role = excluded.role,
    superseded_by = excluded.superseded_by, embedding = excluded.embedding, quarantine = excluded.quarantine,
    trail = excluded.trail
"""
"""Adds a row or rewrites the one with the same id, which must be the same owner's; its access count stays."""

SELECT = """
SELECT m.embedding, m.id, m.user_id, m.project_id, m.type, m.content, m.source, m.trust, m.importance, m.created_at,
    m.updated_at, m.expires_at, m.conversation_id, m.turn_index, m.role, m.superseded_by,
    coalesce(a.access_count, 0) AS access_count, a.last_accessed, m.quarantine, m.trail
FROM memories AS m LEFT JOIN access AS a ON a.memory = m.key
"""

_PACKED = """
SELECT CAST(group_concat(embedding, '') AS BLOB), json_group_array(json_array(id, user_id, project_id, type, content,
    source, trust, format('%!.17g', importance), created_at, updated_at, expires_at, conversation_id, turn_index, role,
    superseded_by, access_count, last_accessed, quarantine, trail)) FROM ({select})
"""
_IMPORTANCE = 7
_ROWS = msgspec.json.Decoder(list[list[Any]])

NEWEST_FIRST = "ORDER BY m.created_at DESC, m.id DESC"

Row = Sequence[Any]

_TYPES = {member.value: member for member in MemoryType}
_SOURCES = {member.value: member for member in Source}
_TRUSTS = {member.value: member for member in Trust}


def digest(content: str) -> bytes:
    """Return the digest under which equal contents are found."""
    return bytes.fromhex(content_digest(content))


def fetch(connection: sqlite3.Connection, statement: str, values: Sequence[Value]) -> list[Row]:
    """Return the rows of a statement that begins with ``SELECT``, in its order.

    SQLite puts all of them into one. Read one by one, each row would give up the interpreter and wait for it again,
    which under load takes longer than everything else that a thread does for a search.
    """
    ((vectors, text),) = connection.execute(_PACKED.format(select=statement), values).fetchall()
    rows = _ROWS.decode(text)
    size = len(vectors) // len(rows) if rows else 0
    for number, row in enumerate(rows):
        row[_IMPORTANCE] = float(row[_IMPORTANCE])
        row.insert(0, vectors[number * size : (number + 1) * size])
    return list(rows)


def insert_many(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Add rows of ``to_row`` by as few statements as there are ones in the binary form of their number, or so.

    Each number of rows is a statement of its own that SQLite has to compile and keep, so there are only six of them.
    """
    first, size = 0, _MOST_ROWS
    while first < len(rows):
        while size > len(rows) - first:
            size //= 2
        values = [value for row in rows[first : first + size] for value in row]
        connection.execute(f"{INSERT}{f', {_ROW}' * (size - 1)}", values)
        first += size


def to_row(record: MemoryRecord, owner: int, *, dimension: int, embedding_model: str) -> tuple[Any, ...]:
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
        record.quarantine,
        trail_of(record),
    )


def to_records(rows: Sequence[Row], *, dimension: int, embedding_model: str) -> tuple[list[MemoryRecord], Matrix]:
    """Return the memories behind rows of ``SELECT``, in their order, and their vectors as one read-only matrix."""
    matrix = to_matrix([row[0] for row in rows], dimension=dimension)
    records = [_record(row, vector, embedding_model=embedding_model) for row, vector in zip(rows, matrix, strict=True)]
    return records, matrix


def _record(row: Row, vector: Vector, *, embedding_model: str) -> MemoryRecord:
    (
        _, memory_id, user_id, project_id, type_, content, source, trust, importance, created_at, updated_at,
        expires_at, conversation_id, turn_index, role, superseded_by, access_count, last_accessed, quarantine, trail,
    ) = row  # fmt: skip
    record = MemoryRecord(  # by position: names take more than twice as long, for each memory of a user
        memory_id,
        user_id,
        content,
        vector,
        embedding_model,
        created_at,
        updated_at,
        project_id,
        _TYPES[type_],
        _SOURCES[source],
        _TRUSTS[trust],
        importance,
        last_accessed,
        expires_at,
        access_count,
        conversation_id,
        turn_index,
        role,
        superseded_by,
        quarantine,
    )
    return record if trail is None else with_trail(record, trail)
