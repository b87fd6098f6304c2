"""Reading the whole file in steps. Each step runs inside one short read transaction, so that others are served too."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.position import Position
from memrouter.stores.query import ScanQuery
from memrouter.stores.sqlite.compile import Clause, filtered, with_ids, with_keys
from memrouter.stores.sqlite.rows import SELECT, to_records

# CROSS keeps SQLite at the order of the two indexes that the steps go along: it never sorts.
_STEP = """
SELECT m.key, o.owner, m.created_at, m.id FROM owners AS o CROSS JOIN memories AS m ON m.owner = o.key
WHERE {condition} ORDER BY o.owner, m.created_at, m.id LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of a scan saw.

    Attributes:
        records: The memories that match, in the order of the scan.
        end: The last memory that was looked at; None where none is left.
    """

    records: list[MemoryRecord]
    end: Position | None


class Scan:
    """One scan of one database.

    Args:
        query: What is asked.
        dimension: Length of the database's vectors.
        embedding_model: Name of their model.
    """

    def __init__(self, query: ScanQuery, *, dimension: int, embedding_model: str) -> None:
        self._query = query
        self._dimension = dimension
        self._embedding_model = embedding_model
        self._owner = None if query.user_id is None else Scope(query.user_id).owner

    def step(self, connection: sqlite3.Connection, after: Position | None) -> Step:
        """Look at the next ``page`` memories behind ``after``; None begins anew."""
        seen: list[tuple[int, str, int, str]] = []
        for clause in self._ranges(after):
            statement = _STEP.format(condition=clause.sql)
            seen += connection.execute(statement, (*clause.values, self._query.page - len(seen))).fetchall()
            if len(seen) == self._query.page:
                break
        if not seen:
            return Step([], None)
        place = {memory_id: number for number, (*_, memory_id) in enumerate(seen)}
        wanted = self._wanted(key for key, *_ in seen)
        rows = connection.execute(f"{SELECT} WHERE {wanted.sql}", wanted.values).fetchall()
        found, _ = to_records(rows, dimension=self._dimension, embedding_model=self._embedding_model)
        return Step(sorted(found, key=lambda record: place[record.id]), Position(*seen[-1][1:]))

    def _ranges(self, after: Position | None) -> Iterable[Clause]:
        """Return conditions whose memories, one condition after the other, are those behind ``after``."""
        if after is None:
            yield Clause("true") if self._owner is None else Clause("o.owner = ?", (self._owner,))
            return
        if self._owner in (None, after.owner):
            rest = (after.owner, after.created_at, after.id)
            yield Clause("o.owner = ? AND (m.created_at, m.id) > (?, ?)", rest)
        if self._owner is None:
            yield Clause("o.owner > ?", (after.owner,))
        elif self._owner > after.owner:
            yield Clause("o.owner = ?", (self._owner,))

    def _wanted(self, keys: Iterable[int]) -> Clause:
        where = self._query.where
        clause = with_keys(keys)
        if where.ids is not None:
            clause &= with_ids(where.ids)
        return filtered(clause, where)
