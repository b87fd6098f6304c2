"""What is measured on Milvus is what is measured on SQLite."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from memrouter.config.memory import MilvusSettings
from memrouter.testing.milvus import drop, elsewhere

from .moving import milvus_config, run


@pytest.fixture
def milvus(milvus_server: MilvusSettings, tmp_path: Path) -> Iterator[str]:
    """A configuration with a collection of its own."""
    settings = elsewhere(milvus_server)
    yield milvus_config(tmp_path / "milvus.yaml", settings)
    asyncio.run(drop(settings))


def test_nobody_gets_at_anothers_memories(milvus: str) -> None:
    report = run("eval", "isolation", "--users", "4", "--config", milvus)
    assert (report["store"], report["holds"], report["isolation"]["foreign"]) == ("milvus", True, 0)


def test_the_same_evidence_is_found_as_on_sqlite(milvus: str) -> None:
    quick = ("eval", "locomo", "--conversations", "1", "--limit", "3", "--arms", "vector", "--embedder", "hash")
    here, there = (run(*quick, *place)["arms"] for place in ((), ("--config", milvus)))
    assert [arm["name"] for arm in here] == ["default", "vector"]
    for one, other in zip(here, there, strict=True):
        assert one["overall"]["recall"] == other["overall"]["recall"]
        assert one["categories"] == other["categories"]
