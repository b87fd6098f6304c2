"""Bringing memories in just as they are. Runs inside one write transaction of the caller."""

import sqlite3
from collections.abc import Mapping, Sequence

from memrouter.errors import MemoryConflict
from memrouter.models.memory import MemoryRecord
from memrouter.stores.query import Merged, MergeMode
from memrouter.stores.single import require_single
from memrouter.stores.sqlite.erasure import mark_erased
from memrouter.stores.sqlite.rows import INSERT, to_row
from memrouter.stores.sqlite.writes import owner_key_of, raise_generation

_FIND = "SELECT key, owner, updated_at FROM memories WHERE id = ?"
_INSERT_ACCESS = "INSERT INTO access SELECT key, ?, ? FROM memories WHERE id = ?"


class Merge:
    """Merges into one database; knows the form of its vectors."""

    def __init__(self, *, dimension: int, embedding_model: str) -> None:
        self._dimension = dimension
        self._embedding_model = embedding_model

    def __call__(
        self, connection: sqlite3.Connection, records: Sequence[MemoryRecord], mode: MergeMode
    ) -> list[Merged]:
        """See ``MemoryStore.merge``."""
        require_single(record.id for record in records)
        owners = {user: owner_key_of(connection, user) for user in {record.user_id for record in records}}
        rows = [
            to_row(record, owners[record.user_id], dimension=self._dimension, embedding_model=self._embedding_model)
            for record in records
        ]
        held = _held(connection, records, owners)
        outcomes = [mode.outcome(record, held=held.get(record.id, (0, None))[1]) for record in records]
        replaced = [r for r, outcome in zip(records, outcomes, strict=True) if outcome is Merged.REPLACED]
        _remove(connection, [held[record.id][0] for record in replaced])
        changed = [index for index, outcome in enumerate(outcomes) if outcome is not Merged.KEPT]
        connection.executemany(INSERT, [rows[index] for index in changed])
        _count_accesses(connection, [records[index] for index in changed])
        for user in {records[index].user_id for index in changed}:
            raise_generation(connection, owners[user])
        return outcomes


def _held(
    connection: sqlite3.Connection, records: Sequence[MemoryRecord], owners: Mapping[str, int]
) -> dict[str, tuple[int, int]]:
    """Return for each id that exists the key of its row and ``updated_at``.

    Raises:
        MemoryConflict: One of them is another owner's.
    """
    held: dict[str, tuple[int, int]] = {}
    taken: list[str] = []
    for record in records:
        row = connection.execute(_FIND, (record.id,)).fetchone()
        if row is None:
            continue
        key, owner, updated_at = row
        if owner == owners[record.user_id]:
            held[record.id] = (key, updated_at)
        else:
            taken.append(record.id)
    if taken:
        raise MemoryConflict(taken)
    return held


def _remove(connection: sqlite3.Connection, keys: Sequence[int]) -> None:
    if keys:
        connection.executemany("DELETE FROM memories WHERE key = ?", [(key,) for key in keys])
        mark_erased(connection)


def _count_accesses(connection: sqlite3.Connection, records: Sequence[MemoryRecord]) -> None:
    counted = [record for record in records if record.access_count or record.last_accessed is not None]
    connection.executemany(_INSERT_ACCESS, [(r.access_count, r.last_accessed, r.id) for r in counted])
