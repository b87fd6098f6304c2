"""The stores that memories are moved between, each made empty, and the plain way to fill one."""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

from benchmarks.raw import RawValkey
from memrouter.config.memory import MilvusSettings, SqliteSettings
from memrouter.models.memory import MemoryRecord, owner_key
from memrouter.stores.base import MemoryStore
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.milvus.collection import open_collection
from memrouter.stores.milvus.connection import Connection as MilvusConnection
from memrouter.stores.milvus.rows import Held, memory_row, new_key
from memrouter.stores.milvus.schema import Layout
from memrouter.stores.milvus.store import MilvusStore
from memrouter.stores.sqlite.connection import connect
from memrouter.stores.sqlite.rows import INSERT, to_row
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.valkey.rows import to_fields
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.milvus import StandaloneMilvus
from memrouter.testing.valkey import ValkeyServer

Batches: TypeAlias = Sequence[Sequence[MemoryRecord]]

DEFAULT_TICK_MS: Final = 200
"""``proxy.timeTickInterval`` of a Milvus that nobody has configured; tests have a shorter one."""


class Place(ABC):
    """A kind of store.

    Attributes:
        name: Shown in the tables.
        baseline: What ``raw`` does, shown in the tables.
        least: Memories per second that a merge with vectors supplied must do; None where nothing is demanded.
    """

    name: str
    baseline: str
    least: int | None = 5_000

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


class Milvus(Place):
    """A server of its own, with the time tick that it has by default."""

    name = "milvus"
    baseline = "raw insert of rows made before, same collection"
    least = None

    @asynccontextmanager
    async def _settings(self) -> AsyncIterator[MilvusSettings]:
        server = StandaloneMilvus(tick_ms=DEFAULT_TICK_MS)
        try:
            await asyncio.to_thread(server.start)
            yield server.settings(timeout=120)
        finally:
            await asyncio.to_thread(server.close)

    @asynccontextmanager
    async def empty(self, *, dimension: int, model: str) -> AsyncIterator[MemoryStore]:
        """See ``Place``."""
        async with self._settings() as settings:
            store = await MilvusStore.open(settings, dimension=dimension, embedding_model=model)
            yield store
            await store.aclose()

    async def raw(self, batches: Batches, *, dimension: int, model: str) -> float:
        """See ``Place``."""
        async with self._settings() as settings:
            connection = await MilvusConnection.open(settings)
            space = EmbeddingSpace(model, dimension)
            collection = await open_collection(connection, settings, space)
            seconds = 0.0
            for batch in batches:
                rows = [_milvus_row(record, collection.layout) for record in batch]
                begun = time.perf_counter()
                await connection.insert(collection.name, rows)
                seconds += time.perf_counter() - begun
            await connection.aclose()
            return seconds


class MilvusLite(Milvus):
    """A file of its own."""

    name = "milvus-lite"

    @asynccontextmanager
    async def _settings(self) -> AsyncIterator[MilvusSettings]:
        with TemporaryDirectory() as folder:
            yield MilvusSettings(address=str(Path(folder) / "memories.db"), timeout=120)


PLACES: tuple[Place, ...] = (Sqlite(), Valkey(), Milvus())
"""Every kind of store that moves are measured between."""

SLOW_PLACES: tuple[Place, ...] = (MilvusLite(),)
"""Those that are measured only where they are asked for, with fewer memories."""


@asynccontextmanager
async def _sqlite(folder: Path, dimension: int, model: str) -> AsyncIterator[MemoryStore]:
    store = await SqliteStore.open(SqliteSettings(path=str(_file(folder))), dimension=dimension, embedding_model=model)
    yield store
    await store.aclose()


def _file(folder: Path) -> Path:
    return folder / "memories.db"


def _milvus_row(record: MemoryRecord, layout: Layout) -> dict[str, Any]:
    nonce = f"{random.Random(record.id).getrandbits(64):016x}"
    key = new_key(record.id, record.user_id, nonce, layout)
    return memory_row(Held(record, key, nonce, 1, nonce, 0), layout)
