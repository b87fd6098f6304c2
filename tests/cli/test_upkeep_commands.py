"""``memrouter prune`` and ``memrouter consolidate`` as they are typed."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from memrouter.cli.main import app
from memrouter.clock import SystemClock
from memrouter.config.memory import SqliteSettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.models.memory import MemoryRecord
from memrouter.stores.query import MergeMode, ScanQuery
from memrouter.stores.sqlite.store import SqliteStore

DAY = 86_400_000
REX = ("I have a small dog called Rex", "I have a small brown dog called Rex")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memories.db"


@pytest.fixture
def config(path: Path, tmp_path: Path) -> str:
    memory = {"backend": "sqlite", "embedding_model": "hash", "sqlite": {"path": str(path)}}
    return written(tmp_path, memory)


def written(folder: Path, memory: dict[str, Any]) -> str:
    file = folder / "router.yaml"
    file.write_text(yaml.safe_dump({"version": "v0.3", "global": {"stores": {"memory": memory}}}))
    return str(file)


def keep(path: Path, *contents: str, days: float = 0, user_id: str = "alice") -> None:
    """Store memories that are so many days old."""

    async def work() -> None:
        store = await SqliteStore.open(SqliteSettings(path=str(path)), dimension=64, embedding_model="hash-64")
        at = SystemClock().now_ms() - round(days * DAY)
        vectors = await HashEmbedder().embed(contents)
        records = [
            MemoryRecord(
                id=f"{user_id}-{days}-{number}",
                user_id=user_id,
                content=content,
                embedding=vector,
                embedding_model="hash-64",
                created_at=at + number,
                updated_at=at + number,
            )
            for number, (content, vector) in enumerate(zip(contents, vectors, strict=True))
        ]
        await store.merge(records, mode=MergeMode.SKIP)
        await store.aclose()

    asyncio.run(work())


def found(path: Path) -> Sequence[MemoryRecord]:
    """Return the memories that retrieval can find."""

    async def work() -> list[MemoryRecord]:
        store = await SqliteStore.open(SqliteSettings(path=str(path)), dimension=64, embedding_model="hash-64")
        pages = [page async for page in store.scan(ScanQuery())]
        await store.aclose()
        return [record for page in pages for record in page.records if record.superseded_by is None]

    return asyncio.run(work())


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_a_dry_run_lists_what_would_go_without_a_text_and_removes_nothing(path: Path, config: str) -> None:
    keep(path, "an old secret fact", days=100)
    keep(path, "a new fact")
    told = typed("prune", "--config", config, "--dry-run")
    assert told.exit_code == 0, told.output
    assert "alice-100-0" in told.output
    assert "faded" in told.output
    assert "secret" not in told.output
    assert "nothing was removed (dry run)" in told.output
    assert "secret" in typed("prune", "--config", config, "--dry-run", "--show-text").output
    facts = json.loads(typed("prune", "--config", config, "--dry-run", "--json").output)
    assert facts["removed"] == {"expired": 0, "replaced": 0, "quarantined": 0, "faded": 1}
    (row,) = facts["would_go"]
    assert (row["id"], row["rule"], row["days"]) == ("alice-100-0", "faded", 100.0)
    assert 0 < row["standing"] < 0.15
    assert "content" not in row
    assert len(found(path)) == 2


def test_pruning_removes_what_was_listed_for_the_user_who_is_meant(path: Path, config: str) -> None:
    keep(path, "an old fact", days=100)
    keep(path, "another old fact", days=100, user_id="bob")
    assert "1 went" in typed("prune", "--config", config, "--user", "alice").output
    assert [record.user_id for record in found(path)] == ["bob"]
    assert json.loads(typed("prune", "--config", config, "--json").output)["removed"]["faded"] == 1
    assert not found(path)


def test_consolidating_and_taking_it_back(path: Path, config: str) -> None:
    keep(path, *REX)
    dry = typed("consolidate", "--config", config, "--dry-run")
    assert "1 groups would be merged: 1 memories fewer are found" in dry.output
    assert len(found(path)) == 2
    (merger,) = json.loads(typed("consolidate", "--config", config, "--json").output)["mergers"]
    assert [record.content for record in found(path)] == ["\n".join(REX)]
    assert "0 groups were merged" in typed("consolidate", "--config", config).output
    undone = typed("consolidate", "--config", config, "--user", "alice", "--undo", merger["memory_id"])
    assert f"removed: {merger['memory_id']}" in undone.output
    assert {record.content for record in found(path)} == set(REX)
    again = typed("consolidate", "--config", config, "--user", "alice", "--undo", merger["memory_id"])
    assert (again.exit_code, again.output.strip()) == (2, "no memory has this id")


def test_undoing_needs_to_know_whose_memory_it_is(config: str) -> None:
    assert typed("consolidate", "--config", config, "--undo", "x").exit_code == 2


@pytest.mark.parametrize("command", ["prune", "consolidate"])
def test_neither_makes_a_store_nor_touches_one_that_moves(tmp_path: Path, path: Path, command: str) -> None:
    memory: dict[str, Any] = {"backend": "sqlite", "embedding_model": "hash", "sqlite": {"path": str(path)}}
    absent = typed(command, "--config", written(tmp_path, memory))
    assert absent.exit_code == 2
    assert "no file" in absent.output
    keep(path, "a fact")
    target = {"to": {"backend": "sqlite", "sqlite": {"path": str(tmp_path / "other.db")}}}
    moving = typed(command, "--config", written(tmp_path, memory | {"migration": target}))
    assert moving.exit_code == 2
    assert "Finish the migration first" in moving.output
