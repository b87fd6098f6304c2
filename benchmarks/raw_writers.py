"""The plain way to fill a store: the bare driver, and forms that were made before."""

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.raw import RawValkey
from memrouter.config.memory import MemorySettings
from memrouter.models.memory import MemoryRecord, owner_key
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.factory import open_store
from memrouter.stores.milvus.collection import open_collection
from memrouter.stores.milvus.connection import Connection as MilvusConnection
from memrouter.stores.milvus.rows import Held, memory_row, new_key
from memrouter.stores.milvus.schema import Layout
from memrouter.stores.sqlite.connection import connect
from memrouter.stores.sqlite.rows import INSERT, to_row
from memrouter.stores.valkey.rows import to_fields

Writer: TypeAlias = Callable[[Sequence[MemoryRecord]], Awaitable[float]]
"""Writes a batch and returns how many seconds the writing alone took."""

BASELINES: Mapping[str, str] = {
    "sqlite": "raw executemany of rows made before, same tables",
    "valkey": "raw pipelined HSET of fields made before, same index",
    "milvus": "raw insert of rows made before, same collection",
}
"""What a writer does, by the backend."""


@asynccontextmanager
async def raw_writer(memory: MemorySettings, *, dimension: int, model: str) -> AsyncIterator[Writer]:
    """Give the bare writer of a store, whose tables, index or collection are made as the store makes them."""
    store = await open_store(memory, dimension=dimension, embedding_model=model)
    await store.aclose()
    form = {"sqlite": _sqlite, "valkey": _valkey, "milvus": _milvus}[memory.effective_backend]
    async with form(memory, dimension, model) as writer:
        yield writer


@asynccontextmanager
async def _sqlite(memory: MemorySettings, dimension: int, model: str) -> AsyncIterator[Writer]:
    """One transaction a batch, as each write of the store is one."""
    numbers: dict[str, int] = {}
    with closing(connect(Path(memory.sqlite.path), synchronous="full")) as connection:

        async def write(batch: Sequence[MemoryRecord]) -> float:
            for user in {record.user_id for record in batch} - set(numbers):
                numbers[user] = len(numbers) + 1
                connection.execute("INSERT INTO owners VALUES (?, ?, ?)", (numbers[user], owner_key(user), 1))
            rows = [
                to_row(record, numbers[record.user_id], dimension=dimension, embedding_model=model) for record in batch
            ]
            begun = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT, rows)
            connection.execute("COMMIT")
            return time.perf_counter() - begun

        yield write


@asynccontextmanager
async def _valkey(memory: MemorySettings, dimension: int, model: str) -> AsyncIterator[Writer]:
    settings = memory.valkey
    assert settings is not None
    raw = await RawValkey.open(settings)

    async def write(batch: Sequence[MemoryRecord]) -> float:
        hashes: list[tuple[str, Mapping[str, str | bytes]]] = [
            (
                f"{settings.collection_prefix}{{{owner_key(record.user_id)}}}:{record.id}",
                to_fields(record, dimension=dimension, embedding_model=model),
            )
            for record in batch
        ]
        begun = time.perf_counter()
        await raw.insert(hashes)
        return time.perf_counter() - begun

    yield write
    await raw.aclose()


@asynccontextmanager
async def _milvus(memory: MemorySettings, dimension: int, model: str) -> AsyncIterator[Writer]:
    settings = memory.milvus
    assert settings is not None
    connection = await MilvusConnection.open(settings)
    collection = await open_collection(connection, settings, EmbeddingSpace(model, dimension))

    async def write(batch: Sequence[MemoryRecord]) -> float:
        rows = [_milvus_row(record, collection.layout) for record in batch]
        begun = time.perf_counter()
        await connection.insert(collection.name, rows)
        return time.perf_counter() - begun

    yield write
    await connection.aclose()


def _milvus_row(record: MemoryRecord, layout: Layout) -> dict[str, Any]:
    nonce = f"{random.Random(record.id).getrandbits(64):016x}"
    key = new_key(record.id, record.user_id, nonce, layout)
    return memory_row(Held(record, key, nonce, 1, nonce, 0), layout)
