"""What can be learned without a thread: single rows, read where they are asked for."""

import sqlite3
from typing import Any, Final

from memrouter.stores.embedding_space import DIMENSION, MODEL, EmbeddingSpace
from memrouter.stores.state import StateEntry

_SPACE = (
    f"(SELECT value FROM meta WHERE name = '{MODEL}'), "  # noqa: S608 - fixed text
    f"(SELECT value FROM meta WHERE name = '{DIMENSION}')"
)
_LOOK = f"SELECT {_SPACE}, (SELECT generation FROM owners WHERE owner = ?)"  # noqa: S608 - fixed text, the owner apart
_FIND = f"""
SELECT {_SPACE}, key, CASE WHEN length(value) <= ? THEN value END, version, expires_at FROM (SELECT 1)
LEFT JOIN state ON space = ? AND key = ? AND (expires_at IS NULL OR expires_at > ?)
"""  # noqa: S608 - fixed text, the values apart
SMALL_BYTES: Final = 2048
"""Largest value that is read in the event loop."""
UNKNOWN_OWNER: Final = 0
"""Generation of an owner that was never written to."""


class Glance:
    """Reads generations and small facts in the event loop: some 10 microseconds, where a thread costs ten times that.

    It reads three rows by their keys, out of pages that every request reads and the system therefore has in memory, and
    waits for no lock: where the answer is not to be had at once, or the file is not as expected, it gives none, and the
    caller asks the reader's thread, which waits and explains.

    Args:
        connection: For this object alone; used in one thread.
        own: The space of this process's vectors.
    """

    def __init__(self, connection: sqlite3.Connection, *, own: EmbeddingSpace) -> None:
        self._connection = connection
        self._expected = (own.model, str(own.dimension))
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA query_only = ON")

    def generation(self, owner: str) -> int | None:
        """Return an owner's generation, with every write that returned; None where it is not to be had at once."""
        row = self._row(_LOOK, (owner,))
        if row is None:
            return None
        return UNKNOWN_OWNER if row[0] is None else int(row[0])

    def state(self, space: str, key: str, *, now: int) -> tuple[StateEntry | None] | None:
        """Return, in a tuple, what ``StateStore.get`` returns; None where it is not to be had at once."""
        row = self._row(_FIND, (SMALL_BYTES, space, key, now))
        if row is None:
            return None
        name, value, version, expires_at = row
        if name is None:
            return (None,)
        return None if value is None else (StateEntry(name, value, version, expires_at),)

    def close(self) -> None:
        """Close the connection; afterwards there is no answer."""
        self._connection.close()

    def _row(self, statement: str, values: tuple[str | int, ...]) -> tuple[Any, ...] | None:
        """Return the row of a statement without what it says of the file; None where the file is not as expected."""
        try:
            row = self._connection.execute(statement, values).fetchone()
        except sqlite3.Error:
            return None
        return row[2:] if row[:2] == self._expected else None
