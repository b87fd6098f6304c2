"""Memories that a Go router wrote to Milvus are exported, completely, and move into other stores and back."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus import MilvusClient

from memrouter.config.memory import MilvusSettings, ValkeySettings
from memrouter.models.memory import MemoryRecord, MemoryType, Source, Trust, unit
from memrouter.stores.base import Capabilities
from memrouter.stores.milvus.connection import Connection
from memrouter.testing.milvus import drop, elsewhere
from memrouter.testing.records import HOSTILE_IDENTITIES, RecordFactory, text_vector
from memrouter.testing.valkey import apart, forget, some_server

from ..stores.milvus.go_collection import SECOND, go_row, make_go_collection
from .moving import DIMENSION, MODEL, all_of, config, fill_sqlite, memory_lines, milvus_config, run, valkey_config

NUMBER = 700
USERS = [name for name in HOSTILE_IDENTITIES if len(name.encode()) <= 256]
"""Those that the Go router's collection has room for."""

MENDED = 2
"""Contents that memrouter keeps in another form."""


@pytest.fixture(scope="module")
def valkey_server() -> Iterator[ValkeySettings]:
    with some_server(os.environ) as settings:
        yield settings


@pytest.fixture
def valkey(valkey_server: ValkeySettings) -> Iterator[ValkeySettings]:
    settings = apart(valkey_server)
    yield settings
    asyncio.run(forget(settings))


@pytest.fixture
def milvus(milvus_server: MilvusSettings) -> Iterator[MilvusSettings]:
    settings = elsewhere(milvus_server)
    yield settings
    asyncio.run(drop(settings))


def rows() -> dict[str, dict[str, Any]]:
    """Return many rows as the Go router writes them, by their ids."""
    found = [
        go_row(number, text_vector(f"go fact {number}", DIMENSION), user_id=USERS[number % len(USERS)])
        for number in range(NUMBER)
    ]
    found[1] |= {"project_id": "", "metadata": ""}
    found[2]["content"] = "a bell \x07 and\r\nits echo"
    found[3]["content"] = "long " * 5000
    found[4] |= {"memory_type": "of another time", "source": "somewhere"}
    found[5]["embedding"] = found[5]["embedding"] * np.float32(3)  # the Go router does not normalise
    return {row["id"]: row for row in found}


async def fill(settings: MilvusSettings) -> None:
    connection = await Connection.open(settings)

    def write(client: MilvusClient) -> None:
        make_go_collection(client, settings.collection, dimension=DIMENSION)
        client.insert(settings.collection, list(rows().values()))
        client.query(settings.collection, 'id != ""', output_fields=["count(*)"], consistency_level="Strong")

    try:
        await connection.administer(write, seconds=60)
    finally:
        await connection.aclose()


def check(record: MemoryRecord, row: dict[str, Any]) -> None:
    """Check that a memory is what the Go router has written."""
    assert record.user_id == row["user_id"]
    assert record.project_id == "default"
    assert (record.created_at, record.updated_at) == (row["created_at"] * 1000, row["updated_at"] * 1000)
    assert (record.access_count, record.importance, record.trust) == (row["access_count"], 0.75, Trust.MODEL)
    assert record.last_accessed == (row["created_at"] * 1000 if row["metadata"] else None)
    known = row["created_at"] != SECOND + 4
    assert record.type is (MemoryType.SEMANTIC if known else MemoryType.EPISODIC)
    assert record.source is Source.EXTRACTION
    if len(row["content"]) < 16384 and "\x07" not in row["content"]:
        assert record.content == row["content"]
        assert record.embedding.tobytes() == unit(row["embedding"]).tobytes()


def test_every_memory_of_a_go_router_is_exported_and_imported(
    milvus: MilvusSettings, valkey: ValkeySettings, tmp_path: Path
) -> None:
    source = milvus_config(tmp_path / "milvus.yaml", milvus)
    to_sqlite = config(tmp_path / "sqlite.yaml", {"sqlite": {"path": str(tmp_path / "out.db")}})
    to_valkey = valkey_config(tmp_path / "valkey.yaml", valkey)
    asyncio.run(fill(milvus))
    report = run("export", str(tmp_path / "go"), "--config", source, "--page", "64")
    assert (report["memories"], report["outcomes"]["refused"], report["users"]) == (NUMBER, 0, len(USERS))
    for target in (to_sqlite, to_valkey):
        outcomes = run("import", str(tmp_path / "go"), "--config", target)["outcomes"]
        assert (outcomes["added"], outcomes["mended"], outcomes["reembedded"]) == (NUMBER, MENDED, MENDED)
    written = rows()
    for record in asyncio.run(all_of(tmp_path / "out.db")):
        check(record, written.pop(record.id))
    assert written == {}
    for name, place in (("one", to_sqlite), ("two", to_valkey)):
        assert run("export", str(tmp_path / name), "--config", place)["memories"] == NUMBER
    assert memory_lines(tmp_path / "one") == memory_lines(tmp_path / "two")


def test_what_a_go_router_wrote_migrates_and_comes_back_to_a_collection_of_ours(
    milvus: MilvusSettings, tmp_path: Path
) -> None:
    asyncio.run(fill(milvus))
    go = milvus_config(tmp_path / "go.yaml", milvus)
    sqlite = config(tmp_path / "sqlite.yaml", {"sqlite": {"path": str(tmp_path / "out.db")}})
    own = elsewhere(milvus)
    home = milvus_config(tmp_path / "own.yaml", own)
    state = ("--state", str(tmp_path / "state"), "--page", "300")
    try:
        first = run("migrate", "--from", go, "--to", sqlite, *state)
        second = run("migrate", "--from", sqlite, "--to", home, *state)
        again = run("migrate", "--from", sqlite, "--to", home, *state)
    finally:
        asyncio.run(drop(own))
    for report in (first, second):
        assert (report["complete"], report["outcomes"]["added"]) == (True, NUMBER)
    assert second["proof"]["source_sha256"] == second["proof"]["target_sha256"]
    assert second["proof"]["sample_equal"] == second["proof"]["sampled"] == 100
    assert (again["outcomes"]["kept"], again["complete"]) == (NUMBER, True)


def test_a_migration_to_milvus_that_was_killed_goes_on_and_nothing_is_lost_or_doubled(
    milvus: MilvusSettings, tmp_path: Path
) -> None:
    make = RecordFactory(Capabilities("sqlite", DIMENSION, MODEL, exact=True)).make
    records = [make(user_id=f"user {number % 7}", access_count=number) for number in range(200)]
    asyncio.run(fill_sqlite(tmp_path / "in.db", records))
    source = config(tmp_path / "sqlite.yaml", {"sqlite": {"path": str(tmp_path / "in.db")}})
    target = milvus_config(tmp_path / "milvus.yaml", milvus)
    state = tmp_path / "state"
    words = ["migrate", "--from", source, "--to", target, "--state", str(state)]
    process = subprocess.Popen([sys.executable, "-m", "memrouter", *words, "--page", "10"], stdout=subprocess.PIPE)
    while not state.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate()
    report = run(*words, "--resume")
    assert (report["complete"], report["outcomes"]["read"]) == (True, len(records))
    assert 0 < report["outcomes"]["added"] <= len(records)
    assert report["proof"]["source_sha256"] == report["proof"]["target_sha256"]
    assert report["proof"]["only_target"] == 0
