"""The candidates for one retrieval: an owner whole, or the nearest vectors joined with the newest word matches."""

import heapq
import sqlite3

import numpy as np

from memrouter.models.memory import Scope, Vector
from memrouter.stores.query import Candidates, StoreQuery
from memrouter.stores.sqlite.compile import Clause, in_scope, match_expression, matching, visible, with_keys
from memrouter.stores.sqlite.reads import count, owner_row, select
from memrouter.stores.sqlite.rows import NEWEST_FIRST, Row, to_records
from memrouter.stores.vectors import to_bytes, to_matrix, vector_scores

_CHUNK = 1024
"""Rows whose vectors are in memory at a time while a large owner is searched."""


class Search:
    """The searches of one database; knows the form of its vectors. Each runs inside one read transaction."""

    def __init__(self, *, dimension: int, embedding_model: str) -> None:
        self._dimension = dimension
        self._embedding_model = embedding_model

    def __call__(self, connection: sqlite3.Connection, scope: Scope, query: StoreQuery) -> Candidates:
        """See ``MemoryStore.search``."""
        if query.vector is not None:
            to_bytes(query.vector, dimension=self._dimension)
        owner, generation = owner_row(connection, scope)
        if query.known_generation == generation:
            return Candidates(records=None, scores=None, complete=False, generation=generation)
        everything = in_scope(owner, scope.project_id) & visible(query.now)
        wanted = matching(owner, scope.project_id, query.where) & visible(query.now)
        limit = query.scan_limit
        whole = limit > 0 and count(connection, everything, up_to=limit + 1) <= limit
        if not whole:
            keys = self._nearest(connection, wanted, query) | _holding_words(connection, owner, wanted, query)
            wanted = with_keys(keys)
        return self._ranked(select(connection, wanted), query.vector, complete=whole, generation=generation)

    def _nearest(self, connection: sqlite3.Connection, clause: Clause, query: StoreQuery) -> set[int]:
        """Return the keys of the ``k`` nearest memories, the newer first where two are equally near."""
        if query.vector is None:
            return set()
        cursor = connection.execute(
            f"SELECT m.embedding, m.created_at, m.id, m.key FROM memories AS m WHERE {clause.sql}",  # noqa: S608 - fixed text
            clause.values,
        )
        best: list[tuple[float, int, str, int]] = []
        while rows := cursor.fetchmany(_CHUNK):
            matrix = to_matrix([row[0] for row in rows], dimension=self._dimension)
            scores = vector_scores(matrix, query.vector).tolist()
            floor = best[-1][0] if len(best) >= query.k else 0.0
            near = [(score, *row[1:]) for score, row in zip(scores, rows, strict=True) if score >= floor]
            best = heapq.nlargest(query.k, best + near)
        return {key for *_, key in best}

    def _ranked(self, rows: list[Row], vector: Vector | None, *, complete: bool, generation: int) -> Candidates:
        """Return newest-first rows as the answer, nearest first where there is a vector."""
        records, matrix = to_records(rows, dimension=self._dimension, embedding_model=self._embedding_model)
        if vector is None:
            return Candidates(records=records, scores=None, complete=complete, generation=generation)
        scores = vector_scores(matrix, vector)
        order = np.argsort(-scores, kind="stable")
        ranked = [records[index] for index in order.tolist()]
        return Candidates(records=ranked, scores=scores[order].tolist(), complete=complete, generation=generation)


def _holding_words(connection: sqlite3.Connection, owner: int, clause: Clause, query: StoreQuery) -> set[int]:
    """Return the keys of the ``k`` newest memories that hold any of the words."""
    expression = match_expression(owner, query.words)
    if expression is None:
        return set()
    # CROSS keeps SQLite from walking the owner's memories and asking the word index about each.
    statement = (
        "SELECT m.key FROM memories_fts AS f CROSS JOIN memories AS m ON m.key = f.rowid "  # noqa: S608 - fixed text, values apart
        f"WHERE f.memories_fts MATCH ? AND {clause.sql} {NEWEST_FIRST} LIMIT ?"
    )
    return {key for (key,) in connection.execute(statement, (expression, *clause.values, query.k))}
