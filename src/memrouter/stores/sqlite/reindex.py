"""New vectors for a whole file, made in a table beside the memories and put in their place in one transaction."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from memrouter.config.memory import SqliteSettings
from memrouter.errors import StoreUnavailable
from memrouter.models.memory import Matrix
from memrouter.stores.embedding_space import (
    DIMENSION,
    MODEL,
    PHASE,
    TARGET_DIMENSION,
    TARGET_MODEL,
    EmbeddingSpace,
    Phase,
    check_begun,
    check_target,
    kept_space,
    under_way,
)
from memrouter.stores.reindexing import Batch, Survey, Text
from memrouter.stores.sqlite.connection import connect, database_path
from memrouter.stores.sqlite.errors import DriverError, translated
from memrouter.stores.sqlite.notes import forget, note, notes
from memrouter.stores.sqlite.schema import upgrade
from memrouter.stores.sqlite.workers import Job, Reader, Writer
from memrouter.stores.vectors import to_bytes

T = TypeVar("T")

# The table goes with the memories that it is about, whoever deletes or rewrites them: a router that knows nothing of a
# reindex keeps it right.
_BEGIN: Final = (
    """CREATE TABLE reindex (
        memory INTEGER PRIMARY KEY REFERENCES memories (key) ON DELETE CASCADE,
        embedding BLOB NOT NULL
    ) STRICT""",
    """CREATE TRIGGER reindex_rewritten AFTER UPDATE OF content ON memories WHEN new.content IS NOT old.content BEGIN
        DELETE FROM reindex WHERE memory = old.key;
    END""",
)
_END: Final = ("DROP TRIGGER reindex_rewritten", "DROP TABLE reindex")

_LOOK: Final = """
SELECT m.key, CASE WHEN r.memory IS NULL THEN m.content END
FROM memories AS m LEFT JOIN reindex AS r ON r.memory = m.key WHERE m.key > ? ORDER BY m.key LIMIT ?
"""
_PUT: Final = "INSERT OR REPLACE INTO reindex SELECT key, ? FROM memories WHERE key = ? AND content = ?"
_LEFT: Final = "SELECT 1 FROM memories WHERE NOT EXISTS (SELECT 1 FROM reindex WHERE memory = key) LIMIT 1"
_MOVE: Final = "UPDATE memories SET embedding = (SELECT r.embedding FROM reindex AS r WHERE r.memory = memories.key)"


class SqliteReindexing:
    """Satisfies ``Reindexing`` with one file; each step is one transaction.

    Routers read on until the switch is committed. While it runs, about a second for 40,000 memories of 256 numbers,
    writes wait.
    """

    def __init__(self, path: Path, writer: Writer, reader: Reader, *, target: EmbeddingSpace) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        self._target = target

    @classmethod
    async def open(cls, settings: SqliteSettings, *, target: EmbeddingSpace) -> "SqliteReindexing":
        """Open the file and bring its schema up to date.

        Raises:
            SchemaMismatch: Not a memrouter database, or a newer one.
            StoreUnavailable: There is no such file, or it cannot be opened or written.
        """
        return await asyncio.to_thread(cls._open, settings, target)

    @classmethod
    def _open(cls, settings: SqliteSettings, target: EmbeddingSpace) -> "SqliteReindexing":
        path = database_path(settings.path)
        place = str(path)
        if not path.is_file():
            raise StoreUnavailable(
                f"there is no memory database {path}, so there is nothing to reindex; see that "
                "global.stores.memory.sqlite.path is right, or start memrouter with the new embedding_model"
            )
        try:
            with ExitStack() as undo:
                writing = undo.enter_context(closing(connect(path, synchronous=settings.synchronous)))
                upgrade(writing, path)
                reading = undo.enter_context(closing(connect(path, synchronous=settings.synchronous)))
                reading.execute("PRAGMA query_only = ON")
                undo.pop_all()
        except DriverError as error:
            raise translated(error, place=place) from None
        writer = Writer(writing, place=place, name="reindex-writer")
        return cls(path, writer, Reader(reading, place=place, name="reindex-reader"), target=target)

    async def survey(self) -> Survey:
        """See ``Reindexing.survey``."""
        return await self._reader.run(_survey)

    async def begin(self) -> bool:
        """See ``Reindexing.begin``."""
        return await self._writer.run(partial(_begin, target=self._target, place=str(self._path)))

    async def pending(self, *, step: int) -> AsyncIterator[Batch]:
        """See ``Reindexing.pending``."""
        after = 0
        while True:
            rows = await self._reader.run(self._begun(partial(_look, after=after, step=step)))
            if not rows:
                return
            after = rows[-1][0]
            yield Batch(len(rows), [Text(str(key), content) for key, content in rows if content is not None])

    async def put(self, texts: Sequence[Text], vectors: Matrix) -> int:
        """See ``Reindexing.put``."""
        job = partial(_put, texts=tuple(texts), vectors=vectors, dimension=self._target.dimension)
        return await self._writer.run(self._begun(job))

    async def seal(self) -> None:
        """See ``Reindexing.seal``."""
        await self._writer.run(self._begun(lambda connection: note(connection, {PHASE: Phase.SEALED})))

    async def switch(self) -> int | None:
        """See ``Reindexing.switch``."""
        return await self._writer.run(self._begun(partial(_switch, target=self._target)))

    async def finish(self) -> None:
        """See ``Reindexing.finish``: nothing is left; the log of the switch is emptied when the file is closed."""

    async def abandon(self) -> bool:
        """See ``Reindexing.abandon``; it is possible until the switch is committed."""
        return await self._writer.run(_abandon)

    async def aclose(self) -> None:
        """See ``Reindexing.aclose``."""
        await self._reader.aclose()
        await self._writer.aclose()

    def _begun(self, job: Job[T]) -> Job[T]:
        """Return ``job`` with the condition that nobody has ended the reindex meanwhile."""

        def checked(connection: sqlite3.Connection) -> T:
            check_begun(notes(connection), target=self._target, place=str(self._path))
            return job(connection)

        return checked


def _survey(connection: sqlite3.Connection) -> Survey:
    found = notes(connection)
    reindex = under_way(found)
    (memories,) = connection.execute("SELECT count(*) FROM memories").fetchone()
    made = 0 if reindex is None else connection.execute("SELECT count(*) FROM reindex").fetchone()[0]
    return Survey(kept_space(found), reindex, memories, made)


def _begin(connection: sqlite3.Connection, *, target: EmbeddingSpace, place: str) -> bool:
    found = notes(connection)
    check_target(found, target=target, place=place)
    if under_way(found) is not None:
        return True
    kept = kept_space(found)
    if kept is None:
        note(connection, {MODEL: target.model, DIMENSION: str(target.dimension)})
    if kept in (None, target):
        return False
    for statement in _BEGIN:
        connection.execute(statement)
    note(connection, {TARGET_MODEL: target.model, TARGET_DIMENSION: str(target.dimension), PHASE: Phase.FILLING})
    return True


def _look(connection: sqlite3.Connection, *, after: int, step: int) -> list[tuple[int, str | None]]:
    return connection.execute(_LOOK, (after, step)).fetchall()


def _put(connection: sqlite3.Connection, *, texts: Sequence[Text], vectors: Matrix, dimension: int) -> int:
    rows = [
        (to_bytes(vector, dimension=dimension), int(text.key), text.content)
        for text, vector in zip(texts, vectors, strict=True)
    ]
    return connection.executemany(_PUT, rows).rowcount


def _switch(connection: sqlite3.Connection, *, target: EmbeddingSpace) -> int | None:
    if connection.execute(_LEFT).fetchone() is not None:
        return None
    moved = connection.execute(_MOVE).rowcount
    connection.execute("UPDATE owners SET generation = generation + 1")
    note(connection, {MODEL: target.model, DIMENSION: str(target.dimension)})
    _end(connection)
    return moved


def _abandon(connection: sqlite3.Connection) -> bool:
    if under_way(notes(connection)) is None:
        return False
    _end(connection)
    return True


def _end(connection: sqlite3.Connection) -> None:
    for statement in _END:
        connection.execute(statement)
    forget(connection, (TARGET_MODEL, TARGET_DIMENSION, PHASE))
