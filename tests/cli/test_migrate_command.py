"""``memrouter migrate`` as an operator runs it, through a kill in the middle."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from memrouter.cli.main import app
from memrouter.config.memory import SqliteSettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.models.memory import MemoryRecord
from memrouter.stores.query import ScanQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import RecordFactory, plain

COUNT = 400
STATE = "memrouter-migrate.state"


def config(folder: Path, name: str, *, model: str = "hash") -> Path:
    memory = {"embedding_model": model, "backend": "sqlite", "sqlite": {"path": str(folder / f"{name}.db")}}
    file = folder / f"{name}.yaml"
    models = [{"name": "m", "backend_refs": [{"endpoint": "127.0.0.1:9"}]}]
    file.write_text(
        yaml.safe_dump({"version": "v0.3", "providers": {"models": models}, "global": {"stores": {"memory": memory}}})
    )
    return file


async def opened(path: Path) -> SqliteStore:
    about = HashEmbedder().info
    return await SqliteStore.open(
        SqliteSettings(path=str(path)), dimension=about.dimension, embedding_model=about.model
    )


async def fill(path: Path, count: int) -> None:
    store = await opened(path)
    make = RecordFactory(store.capabilities)
    await store.create([make.make(f"canary fact {number}", user_id=f"canary{number % 7}") for number in range(count)])
    await store.aclose()


async def everything(path: Path) -> list[MemoryRecord]:
    store = await opened(path)
    found = [record async for page in store.scan(ScanQuery()) for record in page.records]
    await store.aclose()
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    asyncio.run(fill(tmp_path / "source.db", COUNT))
    return config(tmp_path, "source")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return config(tmp_path, "target")


def command(folder: Path, source: Path, target: Path, *options: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MEMROUTER_")}
    return subprocess.Popen(
        [sys.executable, "-m", "memrouter", "migrate", "--from", str(source), "--to", str(target), *options],
        cwd=folder,
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, source: Path, target: Path, *options: str) -> tuple[int, str, str]:
    """Run the command in this process, to its end."""
    words = ["migrate", "--from", str(source), "--to", str(target), "--state", str(folder / STATE), *options]
    result = CliRunner(env={"MEMROUTER_EMBEDDING_MODEL": ""}).invoke(app, words)
    assert "canary" not in result.output, "no user and no text is shown"
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def test_everything_is_moved_and_the_report_says_so(tmp_path: Path, source: Path, target: Path) -> None:
    status, output, _ = run(tmp_path, source, target, "--json", "--seed", "1")
    report: dict[str, Any] = json.loads(output)
    assert (status, report["complete"], report["outcomes"]["added"]) == (0, True, COUNT)
    assert report["proof"]["source_sha256"] == report["proof"]["target_sha256"]
    assert (report["proof"]["sampled"], report["proof"]["sample_equal"]) == (100, 100)
    moved = asyncio.run(everything(tmp_path / "target.db"))
    assert [plain(r) for r in moved] == [plain(r) for r in asyncio.run(everything(tmp_path / "source.db"))]
    status, output, _ = run(tmp_path, source, target)
    assert status == 0
    assert f"read {COUNT} = added 0 + replaced 0 + kept {COUNT} + refused 0" in output
    assert not (tmp_path / STATE).exists()


def test_killed_in_the_middle_it_goes_on_and_nothing_is_lost_or_doubled(
    tmp_path: Path, source: Path, target: Path
) -> None:
    state = tmp_path / STATE
    process = command(tmp_path, source, target, "--page", "1")
    while not state.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.kill()
    process.communicate()
    begun = len(asyncio.run(everything(tmp_path / "target.db")))
    assert 0 < begun < COUNT, "it was killed in the middle"
    status, output, _ = run(tmp_path, source, target, "--resume", "--json")
    report: dict[str, Any] = json.loads(output)
    assert (status, report["complete"], report["outcomes"]["read"]) == (0, True, COUNT)
    assert report["outcomes"]["added"] + report["outcomes"]["kept"] == COUNT
    assert report["outcomes"]["kept"] <= 1, "at most the page that was under way is written again"
    moved = asyncio.run(everything(tmp_path / "target.db"))
    assert [plain(r) for r in moved] == [plain(r) for r in asyncio.run(everything(tmp_path / "source.db"))]


def test_a_dry_run_writes_nothing(tmp_path: Path, source: Path, target: Path) -> None:
    status, output, _ = run(tmp_path, source, target, "--dry-run")
    assert status == 0
    assert f"added {COUNT}" in output
    assert "nothing was written" in output
    assert not (tmp_path / "target.db").exists()


def test_what_cannot_be_done_is_said_with_the_way_out(tmp_path: Path, source: Path, target: Path) -> None:
    status, _, errors = run(tmp_path, source, source)
    assert (status, "lead to the same memories" in errors) == (2, True)
    status, _, errors = run(tmp_path, target, source)
    assert (status, "where there is no file" in errors) == (2, True)
    assert not (tmp_path / "target.db").exists()
    status, _, errors = run(tmp_path, tmp_path / "nowhere.yaml", target)
    assert (status, "nowhere.yaml" in errors) == (2, True)
    assert run(tmp_path, source, config(tmp_path, "other", model="nonesuch"))[0] == 2
