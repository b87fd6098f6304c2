"""Memories that a Go router wrote to Valkey are exported, completely, and move into another store."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.models.memory import Trust
from memrouter.stores.base import Capabilities
from memrouter.stores.valkey.connection import Connection
from memrouter.testing.records import HOSTILE_IDENTITIES, NOW, RecordFactory, text_vector
from memrouter.testing.valkey import apart, forget, some_server

from .moving import DIMENSION, all_of, config, fill_sqlite, memory_lines, run, valkey_config

NUMBER = 1200


@pytest.fixture(scope="module")
def base() -> Iterator[ValkeySettings]:
    with some_server(os.environ) as settings:
        yield settings


def rows() -> dict[str, dict[str, str]]:
    """Return the fields of many memories as the Go router writes them, by their ids."""
    found = {}
    for number in range(NUMBER):
        user = HOSTILE_IDENTITIES[number % len(HOSTILE_IDENTITIES)]
        fields = {
            "id": f"go-{number}", "user_id": user, "project_id": "default", "memory_type": "semantic",
            "content": f"fact number {number}", "source": "conversation", "created_at": str(NOW + number),
            "updated_at": str(NOW + number + 1), "access_count": str(number % 5), "importance": "0.75",
        }  # fmt: skip
        metadata = {"user_id": user, "project_id": "default", "source": "conversation", "last_accessed": NOW // 1000}
        found[f"go-{number}"] = fields | {"metadata": json.dumps(metadata)}
    found["go-1"]["project_id"] = ""
    found["go-2"]["content"] = "a bell \x07 and\r\nits echo"
    found["go-3"]["content"] = "long " * 5000
    found["go-4"]["memory_type"] = "of another time"
    del found["go-5"]["metadata"], found["go-5"]["project_id"], found["go-5"]["importance"]
    return found


async def fill(settings: ValkeySettings) -> None:
    connection = await Connection.open(settings)
    try:
        await connection.run([
            "FT.CREATE", settings.index_name, "ON", "HASH", "PREFIX", "1", settings.collection_prefix, "SCHEMA",
            "id", "TAG", "user_id", "TAG", "project_id", "TAG", "memory_type", "TAG", "content", "TEXT",
            "source", "TAG", "embedding", "VECTOR", "HNSW", "10", "TYPE", "FLOAT32", "DIM", DIMENSION,
            "DISTANCE_METRIC", "COSINE", "M", "16", "EF_CONSTRUCTION", "256", "created_at", "NUMERIC", "SORTABLE",
            "updated_at", "NUMERIC", "access_count", "NUMERIC", "importance", "NUMERIC",
        ])  # fmt: skip
        for memory_id, fields in rows().items():
            pairs = [part for pair in fields.items() for part in pair]
            vector = text_vector(fields["content"], DIMENSION).tobytes()
            await connection.run(["HSET", settings.collection_prefix + memory_id, *pairs, "embedding", vector])
    finally:
        await connection.aclose()


def test_every_memory_of_a_go_router_is_exported_and_imported(base: ValkeySettings, tmp_path: Path) -> None:
    settings = apart(base)
    source = valkey_config(tmp_path / "valkey.yaml", settings)
    target = config(tmp_path / "sqlite.yaml", {"sqlite": {"path": str(tmp_path / "out.db")}})
    asyncio.run(fill(settings))
    try:
        report = run("export", str(tmp_path / "out.ndjson"), "--config", source)
    finally:
        asyncio.run(forget(settings))
    assert (report["memories"], report["outcomes"]["refused"]) == (NUMBER, 0)
    assert report["users"] == len(HOSTILE_IDENTITIES)
    outcomes = run("import", str(tmp_path / "out.ndjson"), "--config", target)["outcomes"]
    assert (outcomes["added"], outcomes["mended"], outcomes["reembedded"]) == (NUMBER, 2, 2)
    written = rows()
    for record in asyncio.run(all_of(tmp_path / "out.db")):
        fields = written.pop(record.id)
        assert record.user_id == fields["user_id"]
        assert record.project_id == "default"
        assert (record.created_at, record.updated_at) == (int(fields["created_at"]), int(fields["updated_at"]))
        assert (record.access_count, record.trust) == (int(fields["access_count"]), Trust.MODEL)
        assert record.importance == float(fields.get("importance", 0.5))
        if record.id not in ("go-2", "go-3"):
            assert record.content == fields["content"]
            assert record.embedding.tobytes() == text_vector(fields["content"], DIMENSION).tobytes()
    assert written == {}


def test_sqlite_and_valkey_give_the_same_lines_in_the_same_order(base: ValkeySettings, tmp_path: Path) -> None:
    settings = apart(base)
    make = RecordFactory(Capabilities("sqlite", DIMENSION, "hash-64", exact=True)).make
    records = [make(user_id=name, project_id=name, access_count=7) for name in HOSTILE_IDENTITIES for _ in range(3)]
    records += [make("hidden", superseded_by="x"), make("expired", expires_at=1), make(importance=1 / 3)]
    asyncio.run(fill_sqlite(tmp_path / "in.db", records))
    sqlite = config(tmp_path / "sqlite.yaml", {"sqlite": {"path": str(tmp_path / "in.db")}})
    valkey = valkey_config(tmp_path / "valkey.yaml", settings)
    run("export", str(tmp_path / "one"), "--config", sqlite)
    try:
        assert run("import", str(tmp_path / "one"), "--config", valkey)["outcomes"]["added"] == len(records)
        assert run("import", str(tmp_path / "one"), "--config", valkey)["outcomes"]["kept"] == len(records)
        run("export", str(tmp_path / "two"), "--config", valkey)
    finally:
        asyncio.run(forget(settings))
    assert memory_lines(tmp_path / "one") == memory_lines(tmp_path / "two")
    assert len(memory_lines(tmp_path / "one")) == len(records)
