"""What memories take in files, as real ones show."""

import asyncio
import random
from pathlib import Path

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.models.memory import MemoryRecord
from memrouter.sizing.disk import valkey_disk
from memrouter.sizing.milvus import milvus_size
from memrouter.sizing.samples import sample_batches
from memrouter.sizing.search_index import SearchModule
from memrouter.sizing.server import info, number
from memrouter.sizing.sqlite import sqlite_file
from memrouter.sizing.workload import MODEL, Workload
from memrouter.stores.query import MergeMode
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.valkey import ValkeyServer

WORKLOAD = Workload(1_000, 256)


def batches(workload: Workload) -> list[list[MemoryRecord]]:
    return list(sample_batches(workload, random.Random(1)))


async def test_valkeys_files_are_as_the_formula_says(tmp_path: Path) -> None:
    async with ValkeyServer(directory=tmp_path, args=("--appendonly", "yes")) as server:
        settings = server.settings()
        store = await ValkeyStore.open(settings, dimension=WORKLOAD.dimension, embedding_model=MODEL)
        for batch in batches(WORKLOAD):
            await store.merge(batch, mode=MergeMode.SKIP)
        await store.aclose()
        connection = await Connection.open(settings)
        appended = number(await info(connection, "persistence"), "aof_current_size")
        await connection.run(["SAVE"])
        await connection.aclose()
    disk = valkey_disk(WORKLOAD, SearchModule.REDISEARCH)
    assert disk.aof == pytest.approx(appended, rel=0.1)
    assert disk.rdb == pytest.approx((tmp_path / "dump.rdb").stat().st_size, rel=0.2)
    assert disk.aof_rewritten < disk.aof < disk.peak


def test_valkey_search_saves_its_index_too() -> None:
    more = valkey_disk(WORKLOAD, SearchModule.VALKEY_SEARCH).rdb - valkey_disk(WORKLOAD, SearchModule.REDISEARCH).rdb
    assert more > WORKLOAD.memories * WORKLOAD.vector_bytes


@pytest.mark.parametrize("dimension", [64, 256, 384])
async def test_an_sqlite_file_is_as_the_formula_says(tmp_path: Path, dimension: int) -> None:
    workload, path = Workload(1_000, dimension), tmp_path / "memory.db"
    settings = SqliteSettings(path=str(path), synchronous="normal")
    store = await SqliteStore.open(settings, dimension=dimension, embedding_model=MODEL)
    for batch in batches(workload):
        await store.merge(batch, mode=MergeMode.SKIP)
    await store.aclose()
    assert sqlite_file(workload) == pytest.approx(await asyncio.to_thread(lambda: path.stat().st_size), rel=0.15)


@pytest.mark.parametrize("dimension", [1024, 4096, 32_768])
def test_an_sqlite_file_with_long_vectors_holds_them(dimension: int) -> None:
    assert sqlite_file(Workload(100, dimension)) > 100 * 4 * dimension


def test_milvus_keeps_vectors_once_more_in_a_graph() -> None:
    flat, graph = milvus_size(Workload(10_000, 256)), milvus_size(Workload(10_000, 256, graph_links=16))
    assert flat.vector_index == 0
    assert graph.vector_index > flat.vectors
    assert graph.total > flat.total > 10_000 * (4 * 256 + 600)
    assert graph.disk > flat.disk > flat.vectors
