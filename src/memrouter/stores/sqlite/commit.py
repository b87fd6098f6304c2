"""Changes that were planned by what is kept. Each runs inside one write transaction of the caller."""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from memrouter.errors import MemoryConflict
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.query import Change
from memrouter.stores.single import require_single
from memrouter.stores.sqlite.compile import in_scope
from memrouter.stores.sqlite.erasure import mark_erased
from memrouter.stores.sqlite.reads import owner_row
from memrouter.stores.sqlite.rows import PUT, insert_many, to_row
from memrouter.stores.sqlite.writes import owner_key_of, raise_generation

_LOOK: Final = """
SELECT (SELECT json_group_array(json_array(owner, key, generation)) FROM owners
        WHERE owner IN (SELECT value FROM json_each(?))),
    (SELECT json_group_array(id) FROM memories WHERE id IN (SELECT value FROM json_each(?)))
"""
_RAISE: Final = "UPDATE owners SET generation = generation + 1 WHERE key IN (SELECT value FROM json_each(?))"
_FIND = "SELECT owner, content IS NOT ? FROM memories WHERE id = ?"
_KEEP_GREATER_ACCESS = """
INSERT INTO access SELECT key, ?, ? FROM memories WHERE id = ?
ON CONFLICT (memory) DO UPDATE SET access_count = max(access_count, excluded.access_count),
    last_accessed = coalesce(max(last_accessed, excluded.last_accessed), last_accessed, excluded.last_accessed)
"""


class Commit:
    """Makes the changes of one database; knows the form of its vectors."""

    def __init__(self, *, dimension: int, embedding_model: str) -> None:
        self._dimension = dimension
        self._embedding_model = embedding_model

    def __call__(self, connection: sqlite3.Connection, change: Change) -> int | None:
        """See ``MemoryStore.commit``."""
        require_single(record.id for record in change.put)
        _, generation = owner_row(connection, Scope(change.user_id))
        if generation != change.after:
            return None
        owner = owner_key_of(connection, change.user_id)
        rows = [self._row(record, owner) for record in change.put]
        _look(connection, owner, change.put)
        connection.executemany(PUT, rows)
        counted = [record for record in change.put if record.access_count or record.last_accessed is not None]
        connection.executemany(_KEEP_GREATER_ACCESS, [(r.access_count, r.last_accessed, r.id) for r in counted])
        if change.remove:
            _remove(connection, owner, change.remove)
        raise_generation(connection, owner)
        return generation + 1

    def together(self, connection: sqlite3.Connection, changes: Sequence[Change]) -> Sequence[int | None]:
        """Make those changes that only add new memories to a known owner, at its generation; None for each other one.

        Raises:
            SchemaMismatch: A vector does not fit the store; which of the changes are made is open.
            sqlite3.IntegrityError: Two changes add the same id; likewise.
        """
        owners = [Scope(change.user_id).owner for change in changes]
        times, ids = Counter(owners), [record.id for change in changes for record in change.put]
        known, taken = map(json.loads, connection.execute(_LOOK, (json.dumps(owners), json.dumps(ids))).fetchone())
        found = {owner: (key, generation) for owner, key, generation in known}
        made: list[int | None] = []
        rows: list[tuple[Any, ...]] = []
        for change, owner in zip(changes, owners, strict=True):
            key, generation = found.get(owner, (0, None))
            plain = times[owner] == 1 and generation == change.after and _only_adds(change, taken)
            made.append(change.after + 1 if plain else None)
            rows += (self._row(record, key) for record in change.put if plain)
        insert_many(connection, rows)
        raised = [found[owner][0] for owner, generation in zip(owners, made, strict=True) if generation is not None]
        connection.execute(_RAISE, (json.dumps(raised),))
        return made

    def _row(self, record: MemoryRecord, owner: int) -> tuple[Any, ...]:
        return to_row(record, owner, dimension=self._dimension, embedding_model=self._embedding_model)


def _only_adds(change: Change, taken: Sequence[str]) -> bool:
    """Return whether a change adds memories that were never read, and does nothing else."""
    return not change.remove and not any(
        record.id in taken or record.access_count or record.last_accessed is not None for record in change.put
    )


def _look(connection: sqlite3.Connection, owner: int, records: Sequence[MemoryRecord]) -> None:
    """See that no id is another owner's, and note where a text is about to be rewritten.

    Raises:
        MemoryConflict: One is.
    """
    rows = [(record.id, connection.execute(_FIND, (record.content, record.id)).fetchone()) for record in records]
    held = [(memory_id, *row) for memory_id, row in rows if row is not None]
    taken = [memory_id for memory_id, holder, _ in held if holder != owner]
    if taken:
        raise MemoryConflict(taken)
    if any(rewritten for *_, rewritten in held):
        mark_erased(connection)


def _remove(connection: sqlite3.Connection, owner: int, ids: frozenset[str]) -> None:
    clause = in_scope(owner, None, ids=ids)
    removed = connection.execute(
        f"DELETE FROM memories AS m WHERE {clause.sql}",  # noqa: S608 - fixed text, values apart
        clause.values,
    ).rowcount
    if removed:
        mark_erased(connection)
