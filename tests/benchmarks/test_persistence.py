"""What the measurement of crashes counts, and a small run of it against real servers."""

import asyncio
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from benchmarks.crashes import Losses, killed_servers
from benchmarks.durability import DIMENSION, modes, valkey_store
from benchmarks.memories import EPOCH, Memories
from benchmarks.persistence import TABLES, in_order
from benchmarks.recovery import WAYS, folder_bytes
from benchmarks.report import Sheet

from memrouter.models.memory import Scope
from memrouter.sizing.server import info, number
from memrouter.stores.query import StoreQuery
from memrouter.stores.valkey.connection import Connection
from memrouter.testing.valkey import ValkeyServer, serving

from .programs import answered

OPTIONS = ("--samples", "3", "--memories", "300", "--restarts", "1", "--most-hnsw", "1", "--only", "cost", "recovery")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return answered("persistence", tmp_path_factory.mktemp("persistence"), *OPTIONS)


def test_every_mode_has_its_cost(measured: dict[str, Any]) -> None:
    keys = [mode.key for mode in modes(5) if not mode.busy] + ["full", "normal"]
    for key in keys:
        assert measured["figures"][f"{key}.write.p50_ms"]["median"] > 0
        assert measured["figures"][f"{key}.write.rate"]["median"] > 0


def test_every_way_has_its_size_and_its_way_back(measured: dict[str, Any]) -> None:
    for way in WAYS[:-1]:
        name = f"{way.key}.s300"
        assert measured["figures"][f"{name}.disk_bytes"]["median"] > 1_024, "a vector alone has so many bytes"
        loaded, back = (measured["figures"][f"{name}.{what}_s"]["median"] for what in ("loaded", "back"))
        assert back >= loaded > 0


def test_every_row_of_a_table_has_a_cell_for_each_column(measured: dict[str, Any]) -> None:
    assert [table["title"] for table in measured["tables"]] == list(TABLES[1:])
    for table in measured["tables"]:
        assert {len(row) for row in table["rows"]} == {len(table["columns"])}


async def test_a_killed_server_without_files_loses_all_and_one_with_a_log_nothing() -> None:
    known = {mode.key: mode for mode in modes(5)}
    nothing = await killed_servers(known["none"], 1, random.Random(1), after=(0.1, 0.3))
    always = await killed_servers(known["always"], 1, random.Random(1), after=(0.1, 0.3))
    assert nothing.acknowledged == nothing.lost
    assert nothing.oldest[0] > 0
    assert always.acknowledged[0] > 0
    assert (always.lost, always.oldest) == ([0], [0.0])


def test_what_is_missing_is_counted_with_its_age() -> None:
    losses = Losses()
    losses.note({"a": 1.0, "b": 2.0, "c": 3.5}, {"a", "other"}, killed=4.0)
    losses.note({"a": 1.0, "d": 5.0}, {"a", "d"}, killed=6.0)
    assert (losses.acknowledged, losses.lost, losses.oldest) == ([3, 2], [2, 0], [2.0, 0.0])
    assert losses.written == 4, "a, b, c and d, each once"


def test_a_snapshot_is_made_as_often_as_was_chosen() -> None:
    args = {mode.key: list(mode.args) for mode in modes(7)}
    assert args["rdb"] == ["--save", "7 1"]
    assert args["none"] == []
    assert args["both"][-2:] == ["--save", "7 1"]


def test_a_later_table_takes_the_place_of_an_earlier_one() -> None:
    old, new, other = (Sheet(TABLES[number], ("", str(place))) for place, number in enumerate((1, 1, 0)))
    assert in_order([old, new, other]) == [other, new]


def test_the_log_of_a_server_is_no_file_of_memories(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_bytes(b"x" * 100)
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "a.aof").write_bytes(b"x" * 7)
    assert folder_bytes(tmp_path) == 7


def test_modes_differ_in_what_they_are_for() -> None:
    known = modes(5)
    assert len({mode.key for mode in known}) == len({mode.name for mode in known}) == len(known)
    assert {mode.key for mode in known if mode.snapshots} == {"rdb", "both"}


async def said(server: ValkeyServer, *words: str) -> object:
    connection = await Connection.open(server.settings())
    try:
        return await connection.run(words)
    finally:
        await connection.aclose()


async def kept(server: ValkeyServer) -> int:
    """Return how many memories are found through the index of a server."""
    store = await valkey_store(server.settings())
    try:
        await serving(store)
        query = StoreQuery(vector=Memories(2, dimension=DIMENSION).vector(), k=50, now=EPOCH)
        found = await store.search(Scope("alice"), query)
        assert found.records is not None
        assert len(found.records) == await store.count("alice")
        return len(found.records)
    finally:
        await store.aclose()


async def remember(server: ValkeyServer, number: int) -> None:
    store = await valkey_store(server.settings())
    await store.create(Memories(1, dimension=DIMENSION).of("alice", number))
    await store.aclose()


async def quiet(server: ValkeyServer) -> None:
    """Wait until a server makes no files anew."""
    connection = await Connection.open(server.settings())
    while (state := await info(connection, "persistence")) and any(
        number(state, name) for name in ("rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled")
    ):
        await asyncio.sleep(0.02)
    await connection.aclose()


async def test_a_copied_snapshot_is_restored_and_goes_on_with_a_log(tmp_path: Path) -> None:
    log = ("--appendonly", "yes")
    async with ValkeyServer(args=log) as server:
        await remember(server, 7)
        await said(server, "BGSAVE")
        await quiet(server)
        (tmp_path / "new").mkdir()
        shutil.copy(server.directory / "dump.rdb", tmp_path / "new" / "dump.rdb")
    async with ValkeyServer(directory=tmp_path / "new", args=("--appendonly", "no")) as server:
        assert await kept(server) == 7
        await said(server, "CONFIG", "SET", "appendonly", "yes")
        await quiet(server)
        await server.kill()
    async with ValkeyServer(directory=tmp_path / "new", args=log) as server:
        assert await kept(server) == 7


async def test_a_copied_snapshot_is_not_read_where_a_log_is_asked_for(tmp_path: Path) -> None:
    async with ValkeyServer() as server:
        await remember(server, 7)
        await said(server, "SAVE")
        (tmp_path / "new").mkdir()
        shutil.copy(server.directory / "dump.rdb", tmp_path / "new" / "dump.rdb")
    async with ValkeyServer(directory=tmp_path / "new", args=("--appendonly", "yes")) as server:
        assert await kept(server) == 0


async def test_a_copied_log_is_restored(tmp_path: Path) -> None:
    log = ("--appendonly", "yes")
    async with ValkeyServer(args=log) as server:
        await remember(server, 7)
        await said(server, "CONFIG", "SET", "auto-aof-rewrite-percentage", "0")
        await quiet(server)
        shutil.copytree(server.directory / "appendonlydir", tmp_path / "new" / "appendonlydir")
    async with ValkeyServer(directory=tmp_path / "new", args=log) as server:
        assert await kept(server) == 7
