"""Reads by id, in pages and in figures. Each runs inside one read transaction of the caller."""

import sqlite3
from collections import Counter
from collections.abc import Sequence

from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source
from memrouter.stores.query import Cursor, ListQuery, Page, ScopeStats
from memrouter.stores.sqlite.compile import Clause, in_scope, matching, older_than, shown, unexpired, visible
from memrouter.stores.sqlite.rows import NEWEST_FIRST, SELECT, Row, fetch, to_records

_NO_STATS = ScopeStats(total=0, by_type={}, by_source={}, content_bytes=0, oldest=None, newest=None)


class Reads:
    """The reads of one database; knows the form of its vectors."""

    def __init__(self, *, dimension: int, embedding_model: str) -> None:
        self._dimension = dimension
        self._embedding_model = embedding_model

    def get(self, connection: sqlite3.Connection, scope: Scope, ids: Sequence[str], now: int) -> list[MemoryRecord]:
        """See ``MemoryStore.get``."""
        owner, _ = owner_row(connection, scope)
        found = self.records(connection, in_scope(owner, scope.project_id, ids=ids) & unexpired(now))
        by_id = {record.id: record for record in found}
        return [by_id[memory_id] for memory_id in dict.fromkeys(ids) if memory_id in by_id]

    def page(self, connection: sqlite3.Connection, scope: Scope, query: ListQuery) -> Page:
        """See ``MemoryStore.list``."""
        owner, _ = owner_row(connection, scope)
        clause = matching(owner, scope.project_id, query.where) & shown(query)
        total = count(connection, clause)
        if query.after is not None:
            clause &= older_than(query.after)
        records = self.records(connection, clause, limit=query.limit + 1)
        if len(records) <= query.limit:
            return Page(records=records, total=total, next=None)
        last = records[query.limit - 1]
        return Page(records=records[: query.limit], total=total, next=Cursor(last.created_at, last.id))

    def records(self, connection: sqlite3.Connection, clause: Clause, *, limit: int = -1) -> list[MemoryRecord]:
        """Return the memories for which ``clause`` holds, newest first; -1 for no limit."""
        rows = select(connection, clause, limit=limit)
        return to_records(rows, dimension=self._dimension, embedding_model=self._embedding_model)[0]


def owner_row(connection: sqlite3.Connection, scope: Scope) -> tuple[int, int]:
    """Return the key and the generation of a scope's owner; (0, 0), a key that no row has, for an unknown one."""
    row = connection.execute("SELECT key, generation FROM owners WHERE owner = ?", (scope.owner,)).fetchone()
    return (0, 0) if row is None else (row[0], row[1])


def select(connection: sqlite3.Connection, clause: Clause, *, limit: int = -1) -> list[Row]:
    """Return the rows for which ``clause`` holds, newest first; -1 for no limit."""
    statement = f"{SELECT} WHERE {clause.sql} {NEWEST_FIRST} LIMIT ?"
    return fetch(connection, statement, (*clause.values, limit))


def count(connection: sqlite3.Connection, clause: Clause, *, up_to: int = -1) -> int:
    """Return for how many memories ``clause`` holds, counting no further than ``up_to``; -1 for no bound."""
    statement = f"SELECT count(*) FROM (SELECT 1 FROM memories AS m WHERE {clause.sql} LIMIT ?)"  # noqa: S608 - fixed text
    (total,) = connection.execute(statement, (*clause.values, up_to)).fetchone()
    return int(total)


def kept(connection: sqlite3.Connection, user_id: str | None) -> int:
    """See ``MemoryStore.count``."""
    if user_id is None:
        return count(connection, Clause("true"))
    owner, _ = owner_row(connection, Scope(user_id))
    return count(connection, in_scope(owner, None))


def stats(connection: sqlite3.Connection, scope: Scope, now: int) -> ScopeStats:
    """See ``MemoryStore.stats``."""
    owner, _ = owner_row(connection, scope)
    clause = in_scope(owner, scope.project_id) & visible(now)
    rows = connection.execute(
        "SELECT m.type, m.source, count(*), sum(length(CAST(m.content AS BLOB))), "  # noqa: S608 - fixed text
        f"min(m.created_at), max(m.created_at) FROM memories AS m WHERE {clause.sql} GROUP BY m.type, m.source",
        clause.values,
    ).fetchall()
    if not rows:
        return _NO_STATS
    by_type: Counter[MemoryType] = Counter()
    by_source: Counter[Source] = Counter()
    for type_, source, number, *_ in rows:
        by_type[MemoryType(type_)] += number
        by_source[Source(source)] += number
    return ScopeStats(
        total=by_type.total(),
        by_type=dict(by_type),
        by_source=dict(by_source),
        content_bytes=sum(row[3] for row in rows),
        oldest=min(row[4] for row in rows),
        newest=max(row[5] for row in rows),
    )


def prove_readable(connection: sqlite3.Connection) -> None:
    """Read from every table and from the word index."""
    for table in ("meta", "owners", "memories", "access", "state", "memories_fts"):
        connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()  # noqa: S608 - the names stand in the line above
