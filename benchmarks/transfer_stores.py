"""The stores that memories are moved between, each made empty, and the plain way to fill one."""

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from benchmarks.raw import RawValkey
from memrouter.config.memory import SqliteSettings
from memrouter.models.memory import MemoryRecord, owner_key
from memrouter.stores.base import MemoryStore
from memrouter.stores.sqlite.connection import connect
from memrouter.stores.sqlite.rows import INSERT, to_row
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.valkey.rows import to_fields
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.valkey import ValkeyServer

Batches: TypeAlias = Sequence[Sequence[MemoryRecord]]


class Place(ABC):
    """A kind of store.

    Attributes:
        name: Shown in the tables.
        baseline: What ``raw`` does, shown in the tables.
    """

    name: str
    baseline: str

    @abstractmethod
    def empty(self, *, dimension: int, model: str) -> AbstractAsyncContextManager[MemoryStore]:
        """Open a store with nothing in it."""

    @abstractmethod
    async def raw(self, batches: Batches, *, dimension: int, model: str) -> float:
        """Write batches through the bare driver, in forms made before; return how many seconds the writing took."""


class Sqlite(Place):
    """A file of its own."""

    name = "sqlite"
    baseline = "raw executemany of rows made before, same tables"

    @asynccontextmanager
    async def empty(self, *, dimension: int, model: str) -> AsyncIterator[MemoryStore]:
        """See ``Place``."""
        with TemporaryDirectory() as folder:
            async with _sqlite(Path(folder), dimension, model) as store:
                yield store

    async def raw(self, batches: Batches, *, dimension: int, model: str) -> float:
        """See ``Place``; one transaction a batch, as each merge is one."""
        users = sorted({record.user_id for batch in batches for record in batch})
        numbers = {user: number for number, user in enumerate(users, start=1)}
        with TemporaryDirectory() as folder:
            async with _sqlite(Path(folder), dimension, model):
                pass  # makes the tables
            with closing(connect(_file(Path(folder)), synchronous="full")) as connection:
                owners = [(number, owner_key(user), 1) for user, number in numbers.items()]
                connection.executemany("INSERT INTO owners VALUES (?, ?, ?)", owners)
                seconds = 0.0
                for batch in batches:
                    rows = [
                        to_row(record, numbers[record.user_id], dimension=dimension, embedding_model=model)
                        for record in batch
                    ]
                    begun = time.perf_counter()
                    connection.execute("BEGIN IMMEDIATE")
                    connection.executemany(INSERT, rows)
                    connection.execute("COMMIT")
                    seconds += time.perf_counter() - begun
                return seconds


class Valkey(Place):
    """A server of its own."""

    name = "valkey"
    baseline = "raw pipelined HSET of fields made before, same index"

    @asynccontextmanager
    async def empty(self, *, dimension: int, model: str) -> AsyncIterator[MemoryStore]:
        """See ``Place``."""
        async with ValkeyServer() as server:
            store = await ValkeyStore.open(server.settings(), dimension=dimension, embedding_model=model)
            yield store
            await store.aclose()

    async def raw(self, batches: Batches, *, dimension: int, model: str) -> float:
        """See ``Place``."""
        async with ValkeyServer() as server:
            settings = server.settings()
            store = await ValkeyStore.open(settings, dimension=dimension, embedding_model=model)  # makes the index
            raw, seconds = await RawValkey.open(settings), 0.0
            for batch in batches:
                hashes: list[tuple[str, Mapping[str, str | bytes]]] = [
                    (
                        f"{settings.collection_prefix}{{{owner_key(record.user_id)}}}:{record.id}",
                        to_fields(record, dimension=dimension, embedding_model=model),
                    )
                    for record in batch
                ]
                begun = time.perf_counter()
                await raw.insert(hashes)
                seconds += time.perf_counter() - begun
            await raw.aclose()
            await store.aclose()
            return seconds


PLACES: tuple[Place, ...] = (Sqlite(), Valkey())
"""Every kind of store that moves are measured between."""


@asynccontextmanager
async def _sqlite(folder: Path, dimension: int, model: str) -> AsyncIterator[MemoryStore]:
    store = await SqliteStore.open(SqliteSettings(path=str(_file(folder))), dimension=dimension, embedding_model=model)
    yield store
    await store.aclose()


def _file(folder: Path) -> Path:
    return folder / "memories.db"
