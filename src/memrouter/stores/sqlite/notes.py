"""What a file says about itself: the rows of the table ``meta``. Each function runs inside the caller's transaction."""

import sqlite3
from collections.abc import Iterable, Mapping


def notes(connection: sqlite3.Connection) -> dict[str, str]:
    """Return everything that is written down."""
    return dict(connection.execute("SELECT name, value FROM meta").fetchall())


def note(connection: sqlite3.Connection, values: Mapping[str, str]) -> None:
    """Write down values, in the place of earlier ones."""
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())


def forget(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Remove what is written down under these names."""
    connection.executemany("DELETE FROM meta WHERE name = ?", [(name,) for name in names])
