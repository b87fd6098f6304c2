"""Small facts beside the memories: one row each, with a version that never comes twice."""

import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

from memrouter.stores.sqlite.glance import Glance
from memrouter.stores.sqlite.workers import Reader, Writer
from memrouter.stores.state import StateEntry, check_name, check_value

_PAGE: Final = 100
"""Most entries that are in memory at a time while a space is read."""
_PURGE: Final = 100
"""Most expired entries that a write removes on its way."""

_READ = """
SELECT key, value, version, expires_at FROM state
WHERE space = ? AND key > ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY key LIMIT ?
"""
_FIND = """
SELECT key, value, version, expires_at FROM state
WHERE space = ? AND key = ? AND (expires_at IS NULL OR expires_at > ?)
"""
_REMOVE_EXPIRED = "DELETE FROM state WHERE version IN (SELECT version FROM state WHERE expires_at <= ? LIMIT ?)"
_INSERT = "INSERT INTO state (space, key, value, expires_at) VALUES (?, ?, ?, ?)"
_REMOVE = "DELETE FROM state WHERE space = ? AND key = ? AND (? IS NULL OR version = ?)"
_SPACES = "SELECT DISTINCT space FROM state WHERE substr(space, 1, length(?)) = ? ORDER BY space"


class SqliteState:
    """Satisfies ``StateStore`` with one table.

    Args:
        writer: Of the store; closed by it.
        reader: Of the store; closed by it.
        glance: Of the store; closed by it.
    """

    def __init__(self, writer: Writer, reader: Reader, glance: Glance) -> None:
        self._writer = writer
        self._reader = reader
        self._glance = glance

    async def get(self, space: str, key: str, *, now: int) -> StateEntry | None:
        """See ``StateStore.get``."""
        seen = self._glance.state(check_name(space), check_name(key), now=now)
        return await self._reader.run(partial(_find, space=space, key=key, now=now)) if seen is None else seen[0]

    async def put(
        self,
        space: str,
        key: str,
        value: bytes,
        *,
        now: int,
        expires_at: int | None = None,
        if_version: int | None = None,
    ) -> int | None:
        """See ``StateStore.put``; removes a few entries on the way that have expired."""
        row = (check_name(space), check_name(key), check_value(value), expires_at)
        return await self._writer.run(partial(_put, row=row, now=now, if_version=if_version))

    async def remove(self, space: str, key: str, *, if_version: int | None = None) -> bool:
        """See ``StateStore.remove``."""
        values = (check_name(space), check_name(key), if_version, if_version)
        return await self._writer.run(lambda connection: connection.execute(_REMOVE, values).rowcount > 0)

    async def entries(self, space: str, *, now: int) -> AsyncIterator[StateEntry]:
        """See ``StateStore.entries``; between two pages of 100 the file is not held in any way."""
        after = ""
        check_name(space)
        while True:
            page = await self._reader.run(partial(_read, values=(space, after, now, _PAGE)))
            for entry in page:
                yield entry
            if len(page) < _PAGE:
                return
            after = page[-1].key

    async def spaces(self, prefix: str = "") -> AsyncIterator[str]:
        """See ``StateStore.spaces``."""
        for name in await self._reader.run(partial(_spaces, prefix=prefix)):
            yield name

    async def drop(self, space: str) -> None:
        """See ``StateStore.drop``."""
        check_name(space)
        await self._writer.run(lambda connection: connection.execute("DELETE FROM state WHERE space = ?", (space,)))


def _find(connection: sqlite3.Connection, *, space: str, key: str, now: int) -> StateEntry | None:
    row = connection.execute(_FIND, (space, key, now)).fetchone()
    return None if row is None else StateEntry(*row)


def _put(connection: sqlite3.Connection, *, row: tuple[Any, ...], now: int, if_version: int | None) -> int | None:
    space, key, *_ = row
    connection.execute(_REMOVE_EXPIRED, (now, _PURGE))
    if if_version is not None:
        held = _find(connection, space=space, key=key, now=now)
        if if_version != (0 if held is None else held.version):
            return None
    connection.execute(_REMOVE, (space, key, None, None))
    return connection.execute(_INSERT, row).lastrowid


def _read(connection: sqlite3.Connection, *, values: tuple[Any, ...]) -> list[StateEntry]:
    return [StateEntry(*row) for row in connection.execute(_READ, values)]


def _spaces(connection: sqlite3.Connection, *, prefix: str) -> list[str]:
    return [name for (name,) in connection.execute(_SPACES, (prefix, prefix))]
