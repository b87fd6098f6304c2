"""Writes. Each runs inside one write transaction of the caller, which undoes it as a whole when it raises."""

import sqlite3
from collections.abc import Sequence

from memrouter.errors import MemoryConflict
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.query import Filter
from memrouter.stores.single import require_single
from memrouter.stores.sqlite.compile import in_scope, matching, visible
from memrouter.stores.sqlite.erasure import mark_erased
from memrouter.stores.sqlite.reads import owner_row
from memrouter.stores.sqlite.rows import INSERT, digest, to_row


class Writes:
    """The writes of one database; knows the form of its vectors."""

    def __init__(self, *, dimension: int, embedding_model: str) -> None:
        self._dimension = dimension
        self._embedding_model = embedding_model

    def create(
        self, connection: sqlite3.Connection, records: Sequence[MemoryRecord], unique_content: bool
    ) -> list[str]:
        """See ``MemoryStore.create``."""
        require_single(record.id for record in records)  # over all owners
        kept, taken, owners = [], [], set()
        for record in records:
            owner = owner_key_of(connection, record.user_id)
            twin = _twin(connection, owner, record) if unique_content else None
            kept.append(twin or record.id)
            if twin is None and _exists(connection, record.id):
                taken.append(record.id)
            elif twin is None:
                self._insert(connection, owner, record)
                owners.add(owner)
        if taken:
            raise MemoryConflict(taken)
        for owner in owners:
            raise_generation(connection, owner)
        return kept

    def _insert(self, connection: sqlite3.Connection, owner: int, record: MemoryRecord) -> None:
        row = to_row(record, owner, dimension=self._dimension, embedding_model=self._embedding_model)
        key = connection.execute(INSERT, row).lastrowid
        if record.access_count or record.last_accessed is not None:
            connection.execute("INSERT INTO access VALUES (?, ?, ?)", (key, record.access_count, record.last_accessed))


def touch(connection: sqlite3.Connection, scope: Scope, ids: Sequence[str], now: int) -> int:
    """See ``MemoryStore.touch``."""
    owner, _ = owner_row(connection, scope)
    clause = in_scope(owner, scope.project_id, ids=ids) & visible(now)
    return connection.execute(
        "INSERT INTO access (memory, access_count, last_accessed) "  # noqa: S608 - fixed text, values apart
        f"SELECT m.key, 1, ? FROM memories AS m WHERE {clause.sql} "
        "ON CONFLICT (memory) DO UPDATE SET access_count = access_count + 1, "
        "last_accessed = max(coalesce(last_accessed, excluded.last_accessed), excluded.last_accessed)",
        (now, *clause.values),
    ).rowcount


def delete(connection: sqlite3.Connection, scope: Scope, where: Filter) -> int:
    """See ``MemoryStore.delete``."""
    owner, _ = owner_row(connection, scope)
    clause = matching(owner, scope.project_id, where)
    removed = connection.execute(
        f"DELETE FROM memories AS m WHERE {clause.sql}",  # noqa: S608 - fixed text, values apart
        clause.values,
    ).rowcount
    if removed:
        mark_erased(connection)
        raise_generation(connection, owner)
    return removed


def prove_writable(connection: sqlite3.Connection) -> None:
    """Change a row, so that the commit has to reach the disk."""
    connection.execute(
        "INSERT INTO meta VALUES ('checks', '1') ON CONFLICT DO UPDATE SET value = CAST(value AS INTEGER) + 1"
    )


def owner_key_of(connection: sqlite3.Connection, user_id: str) -> int:
    """Return the key of a user's row, made where there is none."""
    scope = Scope(user_id)
    connection.execute("INSERT INTO owners (owner, generation) VALUES (?, 0) ON CONFLICT DO NOTHING", (scope.owner,))
    return owner_row(connection, scope)[0]


def _twin(connection: sqlite3.Connection, owner: int, record: MemoryRecord) -> str | None:
    """Return the id of a living memory of the same owner and project with the same content digest."""
    clause = in_scope(owner, record.project_id) & visible(record.created_at)
    row = connection.execute(
        f"SELECT m.id FROM memories AS m WHERE {clause.sql} AND m.digest = ? LIMIT 1",  # noqa: S608 - fixed text
        (*clause.values, digest(record.content)),
    ).fetchone()
    return None if row is None else str(row[0])


def _exists(connection: sqlite3.Connection, memory_id: str) -> bool:
    return connection.execute("SELECT 1 FROM memories WHERE id = ?", (memory_id,)).fetchone() is not None


def raise_generation(connection: sqlite3.Connection, owner: int) -> None:
    """Note a write of the owner with this key."""
    connection.execute("UPDATE owners SET generation = generation + 1 WHERE key = ?", (owner,))
