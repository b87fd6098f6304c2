"""The candidates for one retrieval: an owner whole, or the nearest vectors joined with the newest word matches."""

import sqlite3
from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from memrouter.models.memory import Matrix, Scope, Vector
from memrouter.stores.query import Candidates, Cursor, StoreQuery
from memrouter.stores.sqlite.compile import Clause, in_scope, match_expression, matching, older_than, visible, with_keys
from memrouter.stores.sqlite.reads import count, owner_row, select
from memrouter.stores.sqlite.rows import NEWEST_FIRST, Row, to_records
from memrouter.stores.vectors import to_bytes, vector_scores

# All in one row: read one by one, each would give up the interpreter and wait for it again. SQLite takes the vectors
# for text of the database's own encoding, and so leaves their bytes as they are.
_PIECE = """
SELECT CAST(group_concat(embedding, '') AS BLOB), json_group_array(key) FROM (
    SELECT m.embedding, m.key FROM memories AS m WHERE {condition} ORDER BY m.created_at DESC, m.id DESC LIMIT ?)
"""
_KEYS = msgspec.json.Decoder(list[int])
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
        keys: list[int] = []
        scores: list[NDArray[np.float64]] = []
        for piece, matrix in self._pieces(connection, clause):
            keys += piece
            scores.append(vector_scores(matrix, query.vector))
        if not keys:
            return set()
        nearest = np.argsort(-np.concatenate(scores), kind="stable")[: query.k]
        return {keys[place] for place in nearest.tolist()}

    def _pieces(self, connection: sqlite3.Connection, clause: Clause) -> Iterator[tuple[list[int], Matrix]]:
        """Yield the keys and vectors of the memories for which ``clause`` holds, newest first, _CHUNK at a time."""
        rest = clause
        while True:
            vectors, text = connection.execute(_PIECE.format(condition=rest.sql), (*rest.values, _CHUNK)).fetchone()
            keys = _KEYS.decode(text)
            if keys:
                yield keys, np.frombuffer(vectors, dtype="<f4").reshape(len(keys), self._dimension)
            if len(keys) < _CHUNK:
                return
            last = connection.execute("SELECT created_at, id FROM memories WHERE key = ?", keys[-1:]).fetchone()
            rest = clause & older_than(Cursor(*last))

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
