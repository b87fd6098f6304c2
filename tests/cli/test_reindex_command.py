"""``memrouter reindex`` as it is typed: what it says, and how it ends."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from memrouter.cli.main import app
from memrouter.config.memory import SqliteSettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.errors import SchemaMismatch
from memrouter.models.memory import Scope
from memrouter.stores.query import StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import NOW, RecordFactory

LATER = NOW + 10**9
Write = Callable[..., str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memories.db"


@pytest.fixture
def write(path: Path, tmp_path: Path) -> Write:
    """Write a configuration."""

    def written(**changes: Any) -> str:
        memory = {"backend": "sqlite", "embedding_model": "hash", "sqlite": {"path": str(path)}} | changes
        models = [{"name": "m", "backend_refs": [{"base_url": "http://127.0.0.1:1/v1"}]}]
        file = tmp_path / "router.yaml"
        file.write_text(
            yaml.safe_dump(
                {"version": "v0.3", "providers": {"models": models}, "global": {"stores": {"memory": memory}}}
            )
        )
        return str(file)

    return written


async def opened(path: Path, model: str, dimension: int) -> SqliteStore:
    return await SqliteStore.open(SqliteSettings(path=str(path)), dimension=dimension, embedding_model=model)


async def fill(path: Path, number: int) -> None:
    """Store memories as a router with the hash embedder does."""
    store = await opened(path, "hash-64", 64)
    make, embedder = RecordFactory(store.capabilities), HashEmbedder()
    texts = [f"fact number {place} is about cats" for place in range(number)]
    vectors = await embedder.embed(texts)
    await store.create([make.make(text, embedding=vector) for text, vector in zip(texts, vectors, strict=True)])
    await store.aclose()


async def best(path: Path, model: str, dimension: int, question: Any) -> tuple[str, int]:
    """Return the nearest memory's text, and how many there are."""
    store = await opened(path, model, dimension)
    answer = await store.search(Scope("alice"), StoreQuery(vector=question, k=1, now=LATER, scan_limit=0))
    total = await store.count(None)
    await store.aclose()
    assert answer.records
    return answer.records[0].content, total


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["reindex", *args], env={"MEMROUTER_EMBEDDING_MODEL": None, "COLUMNS": "200"})


def test_a_store_is_moved_to_the_bundled_model_and_back(path: Path, write: Write) -> None:
    asyncio.run(fill(path, 12))
    there = run("--config", write(), "--embedding-model", "wordllama")
    assert there.exit_code == 0, there.output
    assert there.stdout.splitlines() == [
        "12 memories have vectors of wordllama-l2-supercat-256 (256 numbers) now, before of hash-64 (64 numbers)",
        "12 were embedded, 0 of them written meanwhile; 0 had been embedded by an earlier run",
        "now set global.stores.memory.embedding_model: wordllama, and restart every router that uses this store",
    ]
    back = run("--config", write(embedding_model="wordllama"), "--embedding-model", "hash-64", "--json")
    report = json.loads(back.stdout)
    assert (report["memories"], report["embedded"], report["unchanged"]) == (12, 12, False)
    assert report["before"] == {"model": "wordllama-l2-supercat-256", "dimension": 256}
    question = asyncio.run(HashEmbedder().embed(["fact number 7 is about cats"]))[0]
    assert asyncio.run(best(path, "hash-64", 64, question)) == ("fact number 7 is about cats", 12)


def test_the_command_in_the_refusal_mends_it(path: Path, write: Write) -> None:
    asyncio.run(fill(path, 3))
    config = write(embedding_model="wordllama")
    with pytest.raises(SchemaMismatch) as caught:
        asyncio.run(opened(path, "wordllama-l2-supercat-256", 256))
    command = str(caught.value).partition("run: ")[2].split()
    assert command[:2] == ["memrouter", "reindex"]
    result = run(*(config if word == "FILE" else word for word in command[2:]))
    assert result.exit_code == 0, result.output
    asyncio.run(asyncio.wait_for(close_again(path), 10))


async def close_again(path: Path) -> None:
    await (await opened(path, "wordllama-l2-supercat-256", 256)).aclose()


def test_a_second_run_says_that_there_is_nothing_to_do(path: Path, write: Write) -> None:
    asyncio.run(fill(path, 3))
    result = run("--config", write(), "--embedding-model", "hash")
    assert (result.exit_code, result.stdout) == (
        0, "nothing to do: the store has vectors of hash-64 (64 numbers); 3 memories\n",
    )  # fmt: skip


def test_a_dry_run_tells_and_leaves_the_file(path: Path, write: Write) -> None:
    asyncio.run(fill(path, 3))
    result = run("--config", write(), "--embedding-model", "wordllama", "--dry-run")
    assert result.exit_code == 0
    assert "3 would be embedded, 0 were by an earlier run" in result.stdout
    assert "nothing was written" in result.stdout
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'embedding_model'").fetchone() == ("hash-64",)
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'reindex'").fetchone()
    connection.close()


def test_giving_up_needs_something_to_give_up(path: Path, write: Write) -> None:
    asyncio.run(fill(path, 3))
    result = run("--config", write(), "--embedding-model", "wordllama", "--abandon")
    assert (result.exit_code, result.stdout) == (0, "no reindex is under way\n")


@pytest.mark.parametrize("dimension", ["10", "100"])
def test_a_dimension_that_no_router_could_have_is_refused(path: Path, write: Write, dimension: str) -> None:
    asyncio.run(fill(path, 3))
    result = run("--config", write(), "--embedding-model", "hash", "--dimension", dimension)
    assert result.exit_code == 2
    assert f"--dimension: found {dimension}; allowed: 64 (the dimension of hash-64)" in result.stderr


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "--embedding-model: found 'no-such-model'"),
        ({"migration": {"to": {"backend": "sqlite", "sqlite": {"path": "other.db"}}}}, "Finish the migration first"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(
    path: Path, write: Write, changes: dict[str, Any], words: str
) -> None:
    asyncio.run(fill(path, 1))
    result = run("--config", write(**changes), "--embedding-model", "no-such-model")
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_a_store_that_is_not_there_is_not_made(path: Path, write: Write) -> None:
    result = run("--config", write(), "--embedding-model", "wordllama")
    assert result.exit_code == 2
    assert "there is no memory database" in result.stderr
    assert not path.exists()
