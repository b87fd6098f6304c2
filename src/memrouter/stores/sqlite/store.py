"""The embedded store: one SQLite file, exact vector search, words through FTS5."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Final

from memrouter.config.memory import SqliteSettings
from memrouter.errors import StoreUnavailable
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import Capabilities
from memrouter.stores.embedding_space import EmbeddingSpace, check_still_kept, check_writable
from memrouter.stores.position import Position
from memrouter.stores.query import (
    Candidates,
    Change,
    Filter,
    ListQuery,
    Merged,
    MergeMode,
    Page,
    ScanPage,
    ScanQuery,
    ScopeStats,
    StoreQuery,
)
from memrouter.stores.sqlite.commit import Commit
from memrouter.stores.sqlite.connection import connect, create_file, database_path
from memrouter.stores.sqlite.errors import DriverError, translated
from memrouter.stores.sqlite.glance import Glance
from memrouter.stores.sqlite.merge import Merge
from memrouter.stores.sqlite.notes import notes
from memrouter.stores.sqlite.reads import Reads, kept, prove_readable, stats
from memrouter.stores.sqlite.scan import Scan
from memrouter.stores.sqlite.schema import prepare
from memrouter.stores.sqlite.search import Search
from memrouter.stores.sqlite.state import SqliteState
from memrouter.stores.sqlite.workers import Alike, Reader, Writer
from memrouter.stores.sqlite.writes import Writes, delete, prove_writable, touch
from memrouter.stores.state import StateStore

_BACKEND: Final = "sqlite"


class SqliteStore:
    """Satisfies ``MemoryStore`` with one file, which several processes may share.

    A write that returned survives a killed process, and with ``synchronous: full`` a power cut. Reads do not wait
    for writes.

    What a deletion leaves: the row, its vector and its index entries are overwritten in the file
    (``secure_delete``). Until the next checkpoint, at the latest ``aclose``, the write-ahead log beside the file
    may still hold old pages; single words of a deleted text may stand in the pages of the word index until FTS5
    merges them, also at the latest at ``aclose`` (where that would take long: a later one). No query sees either.
    A digest of the user id and the generation number stay for good.
    """

    def __init__(
        self, path: Path, writer: Writer, reader: Reader, glance: Glance, *, capabilities: Capabilities
    ) -> None:
        dimension, model = capabilities.dimension, capabilities.embedding_model
        self._path = path
        self._inode = _inode(path)
        self._writer = writer
        self._reader = reader
        self._glance = glance
        self._capabilities = capabilities
        self._reads = Reads(dimension=dimension, embedding_model=model)
        self._writes = Writes(dimension=dimension, embedding_model=model)
        self._merge = Merge(dimension=dimension, embedding_model=model)
        self._commit = Commit(dimension=dimension, embedding_model=model)
        self._state = SqliteState(writer, reader, glance)
        self._search = Search(dimension=dimension, embedding_model=model)

    @classmethod
    async def open(cls, settings: SqliteSettings, *, dimension: int, embedding_model: str) -> "SqliteStore":
        """Open the file, made where it does not exist, and bring its schema up to date.

        Raises:
            SchemaMismatch: Not a memrouter database, a newer one, or one with other vectors; the file is unchanged.
            StoreUnavailable: The file cannot be opened or written, or is locked.
        """
        return await asyncio.to_thread(cls._open, settings, dimension, embedding_model)

    @classmethod
    def _open(cls, settings: SqliteSettings, dimension: int, embedding_model: str) -> "SqliteStore":
        path = database_path(settings.path)
        place = str(path)
        space = EmbeddingSpace(embedding_model, dimension)
        create_file(path)
        try:
            with ExitStack() as undo:
                writing = undo.enter_context(closing(connect(path, synchronous=settings.synchronous)))
                prepare(writing, path, dimension=dimension, embedding_model=embedding_model)
                reading = undo.enter_context(closing(connect(path, synchronous=settings.synchronous)))
                reading.execute("PRAGMA query_only = ON")
                looking = undo.enter_context(closing(connect(path, synchronous=settings.synchronous)))
                glance = Glance(looking, own=space)
                undo.pop_all()
        except DriverError as error:
            raise translated(error, place=place) from None
        return cls(
            path,
            Writer(writing, place=place, name="writer", guard=partial(_check_writable, own=space, place=place)),
            Reader(reading, place=place, name="reader", guard=partial(_check_still_kept, own=space, place=place)),
            glance,
            capabilities=Capabilities(_BACKEND, dimension, embedding_model, exact=True),
        )

    @property
    def capabilities(self) -> Capabilities:
        """See ``MemoryStore.capabilities``."""
        return self._capabilities

    async def create(self, records: Sequence[MemoryRecord], *, unique_content: bool = False) -> list[str]:
        """See ``MemoryStore.create``.

        An id that exists already is no conflict where ``unique_content`` finds the content: a repeated call is
        answered as the first one was.
        """
        wanted = tuple(records)
        return await self._writer.run(lambda connection: self._writes.create(connection, wanted, unique_content))

    async def get(self, scope: Scope, ids: Sequence[str], *, now: int) -> list[MemoryRecord]:
        """See ``MemoryStore.get``."""
        return await self._reader.run(lambda connection: self._reads.get(connection, scope, ids, now))

    async def list(self, scope: Scope, query: ListQuery) -> Page:
        """See ``MemoryStore.list``."""
        return await self._reader.run(lambda connection: self._reads.page(connection, scope, query))

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        """See ``MemoryStore.search``; what needs no memory is answered without the reader's thread.

        Raises:
            SchemaMismatch: The query's vector does not fit the store.
        """
        glimpsed = self._glimpsed(scope, query)
        if glimpsed is not None:
            return glimpsed
        return await self._reader.run(lambda connection: self._search(connection, scope, query))

    def still_stands(self, scope: Scope, generation: int) -> bool | None:
        """See ``InstantStore``."""
        now = self._glance.generation(scope.owner)
        return None if now is None else now == generation

    async def touch(self, scope: Scope, ids: Sequence[str], *, now: int) -> int:
        """See ``MemoryStore.touch``."""
        return await self._writer.run(lambda connection: touch(connection, scope, ids, now))

    async def delete(self, scope: Scope, where: Filter) -> int:
        """See ``MemoryStore.delete``; the class says what is left in the file, and for how long."""
        return await self._writer.run(lambda connection: delete(connection, scope, where))

    async def stats(self, scope: Scope, *, now: int) -> ScopeStats:
        """See ``MemoryStore.stats``."""
        return await self._reader.run(lambda connection: stats(connection, scope, now))

    async def scan(self, query: ScanQuery) -> AsyncIterator[ScanPage]:
        """See ``MemoryStore.scan``; between two pages the file is not held in any way."""
        dimension, model = self._capabilities.dimension, self._capabilities.embedding_model
        scan = Scan(query, dimension=dimension, embedding_model=model)
        after = None if query.after is None else Position.decode(query.after, backend=_BACKEND)
        while True:
            step = await self._reader.run(partial(scan.step, after=after))
            if step.end is None:
                return
            after = step.end
            if step.records:
                yield ScanPage(records=step.records, position=after.encode(backend=_BACKEND))

    async def merge(self, records: Sequence[MemoryRecord], *, mode: MergeMode) -> Sequence[Merged]:
        """See ``MemoryStore.merge``; all of a call or, where it raises, nothing. Other writes wait meanwhile."""
        wanted = tuple(records)
        return await self._writer.run(lambda connection: self._merge(connection, wanted, mode))

    async def commit(self, change: Change) -> int | None:
        """See ``MemoryStore.commit``."""
        # Tasks that are about to commit come this far, too: their changes then share one transaction.
        await asyncio.sleep(0)
        return await self._writer.run(Alike(change, self._commit, self._commit.together))

    @property
    def state(self) -> StateStore:
        """See ``MemoryStore.state``."""
        return self._state

    async def count(self, user_id: str | None) -> int:
        """See ``MemoryStore.count``."""
        return await self._reader.run(lambda connection: kept(connection, user_id))

    async def check(self) -> None:
        """See ``MemoryStore.check``: commits a write, reads, and sees that the file is still in its place."""
        await self._writer.run(prove_writable)
        await self._reader.run(prove_readable)
        if await asyncio.to_thread(_inode, self._path) != self._inode:
            raise StoreUnavailable(
                f"the memory database {self._path} was removed or replaced while in use; restart memrouter"
            )

    async def aclose(self) -> None:
        """See ``MemoryStore.aclose``; empties the write-ahead log into the file."""
        self._glance.close()
        await self._reader.aclose()
        await self._writer.aclose()

    def _glimpsed(self, scope: Scope, query: StoreQuery) -> Candidates | None:
        """Return the answer where the owner's generation is all of it; None where memories must be read."""
        if query.vector is not None or query.words or (query.scan_limit and query.known_generation is None):
            return None
        generation = self._glance.generation(scope.owner)
        if generation is None:
            return None
        if query.known_generation == generation:
            return Candidates(records=None, scores=None, complete=False, generation=generation)
        if query.scan_limit:
            return None
        return Candidates(records=(), scores=None, complete=False, generation=generation)


def _check_still_kept(connection: sqlite3.Connection, *, own: EmbeddingSpace, place: str) -> None:
    check_still_kept(notes(connection), own=own, place=place)


def _check_writable(connection: sqlite3.Connection, *, own: EmbeddingSpace, place: str) -> None:
    check_writable(notes(connection), own=own, place=place)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
