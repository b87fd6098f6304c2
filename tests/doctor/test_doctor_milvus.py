"""Milvus: what the doctor finds on a real server, on Milvus Lite, and where there is none."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from memrouter.config.memory import MilvusSettings
from memrouter.doctor.findings import Level
from memrouter.doctor.milvus import index_finding, version_finding
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.milvus.reindex import MilvusReindexing
from memrouter.stores.milvus.store import MilvusStore
from memrouter.testing.milvus import drop, elsewhere
from memrouter.testing.valkey import free_port

from .clinic import Doctor, Outcome


def examined(doctor: Doctor, settings: MilvusSettings, **changes: Any) -> Outcome:
    block = {"address": settings.address, "collection": settings.collection, "timeout": "5s", **changes}
    doctor.write(milvus=block)
    return doctor.run()


def make_collection(settings: MilvusSettings, *, model: str = "hash-64", dimension: int = 64) -> None:
    async def run() -> None:
        store = await MilvusStore.open(settings, dimension=dimension, embedding_model=model)
        await store.aclose()

    asyncio.run(run())


async def begin_reindex(settings: MilvusSettings, *, abandon: bool = False) -> None:
    store = await MilvusReindexing.open(settings, target=EmbeddingSpace("another", 16))
    assert await (store.abandon() if abandon else store.begin())
    await store.aclose()


def test_a_server_without_the_collection_is_fine_and_none_is_made(
    doctor: Doctor, milvus_server: MilvusSettings
) -> None:
    settings = elsewhere(milvus_server)
    for _ in range(2):
        outcome = examined(doctor, settings)
        assert (outcome.status, outcome.at("broken"), outcome.at("warning")) == (0, set(), set())
        assert "does not exist yet" in outcome.of("milvus collection")["seen"]


def test_a_good_collection_is_checked_through(doctor: Doctor, milvus_server: MilvusSettings) -> None:
    settings = elsewhere(milvus_server)
    make_collection(settings)
    try:
        outcome = examined(doctor, settings)
        assert outcome.status == 0, outcome.text
        assert [check for check in outcome.checks if check.startswith("milvus")] == [
            "milvus name", "milvus connection", "milvus version", "milvus collection", "milvus index", "milvus vectors",
        ]  # fmt: skip
        assert outcome.of("canary")["level"] == "ok"
        other = examined(doctor, settings, index_algorithm="hnsw")
        assert (other.status, other.at("warning")) == (1, {"milvus index"})
        asyncio.run(begin_reindex(settings))
        meanwhile = examined(doctor, settings)
        assert (meanwhile.status, meanwhile.at("warning")) == (1, {"milvus vectors"})
        assert "a reindex to another (16 numbers) is under way (filling)" in meanwhile.of("milvus vectors")["seen"]
        assert meanwhile.of("canary")["level"] == "ok"
        asyncio.run(begin_reindex(settings, abandon=True))
    finally:
        asyncio.run(drop(settings))


def test_vectors_of_another_model_in_a_local_file_are_broken(doctor: Doctor, tmp_path: Path) -> None:
    settings = MilvusSettings(address=str(tmp_path / "memories.db"))
    make_collection(settings, model="wordllama-256", dimension=256)
    outcome = examined(doctor, settings)
    finding = outcome.of("milvus vectors")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert "wordllama-256 (256 numbers), but hash-64 (64 numbers) is configured" in finding["seen"]
    assert "memrouter migrate --from FILE --to COPY" in finding["fix"]


@pytest.mark.parametrize(
    ("address", "check", "words"),
    [
        ("ftp://milvus:1", "milvus address", "host:port"),
        ("no-such-host.invalid:19530", "milvus name", "has no address"),
        ("127.0.0.1:{port}", "milvus connection", "cannot be reached"),
        ("/no/such/folder/memories.db", "milvus connection", "does not exist"),
    ],
)
def test_what_keeps_the_router_from_its_server_is_named(doctor: Doctor, address: str, check: str, words: str) -> None:
    outcome = examined(doctor, MilvusSettings(address=address.format(port=free_port())), timeout="500ms")
    finding = outcome.of(check)
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert words in finding["seen"]


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("v2.3.5-lite", Level.OK),
        ("2.6.1", Level.OK),
        ("milvus_lite-3.2.2", Level.OK),
        ("v2.2.9", Level.WARNING),
        ("?", Level.WARNING),
    ],
)
def test_the_version_is_judged(version: str, level: Level) -> None:
    assert version_finding(version).level is level


def test_an_index_as_configured_is_fine() -> None:
    assert index_finding("", "memories").level is Level.OK
