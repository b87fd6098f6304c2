"""``memrouter export`` and ``memrouter import`` as an operator runs them."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from memrouter.cli.main import app
from memrouter.config.memory import SqliteSettings
from memrouter.embeddings.wordllama import _INFO
from memrouter.models.memory import MemoryRecord
from memrouter.stores.base import Capabilities
from memrouter.stores.query import MergeMode, ScanQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import RecordFactory, plain

MODEL = "hash"
ABOUT = Capabilities("sqlite", 64, "hash-64", exact=True)
MAKE = RecordFactory(ABOUT).make
RECORDS = [
    *(MAKE(user_id=f"user {number % 4}", access_count=number) for number in range(20)),
    MAKE("superseded", superseded_by="x"),
    MAKE("expired", expires_at=1),
]


class Router:
    """A folder with a configuration and a database."""

    def __init__(self, folder: Path, *, model: str = MODEL) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.config = folder / "router.yaml"
        memory = {"embedding_model": model, "sqlite": {"path": str(folder / "memrouter.db"), "synchronous": "normal"}}
        models = [{"name": "m", "backend_refs": [{"name": "b", "base_url": "http://127.0.0.1:1/v1"}]}]
        self.config.write_text(
            yaml.safe_dump(
                {"version": "v0.3", "providers": {"models": models}, "global": {"stores": {"memory": memory}}}
            )
        )

    def fill(self, records: Sequence[MemoryRecord]) -> None:
        async def work() -> None:
            store = await self._open()
            await store.merge(records, mode=MergeMode.REPLACE)
            await store.aclose()

        asyncio.run(work())

    def kept(
        self, *, model: str = ABOUT.embedding_model, dimension: int = ABOUT.dimension
    ) -> dict[tuple[str, str], dict[str, Any]]:
        async def work() -> list[MemoryRecord]:
            store = await self._open(model, dimension)
            try:
                return [record async for page in store.scan(ScanQuery()) for record in page.records]
            finally:
                await store.aclose()

        found = asyncio.run(work())
        named = {(record.user_id, record.id): plain(record) for record in found}
        assert len(named) == len(found)
        return named

    async def _open(self, model: str = ABOUT.embedding_model, dimension: int = ABOUT.dimension) -> SqliteStore:
        settings = SqliteSettings(path=str(self.folder / "memrouter.db"), synchronous="normal")
        return await SqliteStore.open(settings, dimension=dimension, embedding_model=model)

    def run(self, command: str, *args: object, status: int = 0) -> Result:
        words = [command, *map(str, args), "--config", str(self.config)]
        result = CliRunner().invoke(app, words, env={"MEMROUTER_EMBEDDING_MODEL": None})
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result

    def start(self, command: str, *args: object) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-m", "memrouter", command, *map(str, args), "--config", str(self.config)]
        env = {name: value for name, value in os.environ.items() if not name.startswith("MEMROUTER_")}
        return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def router(tmp_path: Path) -> Router:
    made = Router(tmp_path / "one")
    made.fill(RECORDS)
    return made


@pytest.fixture
def other(tmp_path: Path) -> Router:
    return Router(tmp_path / "two")


def named(records: Sequence[MemoryRecord]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(record.user_id, record.id): plain(record) for record in records}


@pytest.mark.parametrize("name", ["out.ndjson", "out.ndjson.gz"])
def test_a_store_moves_into_another_bit_by_bit(router: Router, other: Router, tmp_path: Path, name: str) -> None:
    exported = json.loads(router.run("export", tmp_path / name, "--json").stdout)
    assert (exported["memories"], exported["users"], exported["hidden"]) == (22, 5, 2)
    imported = json.loads(other.run("import", tmp_path / name, "--json").stdout)
    assert imported["outcomes"]["added"] == 22
    assert imported["outcomes"]["balanced"] is True
    assert imported["sha256"] == exported["sha256"]
    assert other.kept() == router.kept() == named(RECORDS)
    again = other.run("import", tmp_path / name)
    assert "read 22 = added 0 + replaced 0 + kept 22 + left out 0 + duplicates 0 + refused 0" in again.stdout


def test_stdout_and_stdin_are_files_too(router: Router, other: Router, tmp_path: Path) -> None:
    whole = router.run("export", "-", "--page", 5)
    assert "exported 22 memories of 5 users" in whole.stderr
    assert json.loads(whole.stdout.splitlines()[-1])["count"] == 22
    words = ["import", "-", "--config", str(other.config)]
    result = CliRunner().invoke(app, words, input=whole.stdout_bytes, env={"MEMROUTER_EMBEDDING_MODEL": None})
    assert result.exit_code == 0
    assert other.kept() == named(RECORDS)


def test_dry_runs_count_and_write_nothing(router: Router, other: Router, tmp_path: Path) -> None:
    counted = router.run("export", "--dry-run", "--user", "user 1")
    assert "exported 5 memories of 1 users to nowhere (dry run)" in counted.stdout
    router.run("export", tmp_path / "out")
    foretold = other.run("import", tmp_path / "out", "--dry-run")
    assert "nothing was written" in foretold.stdout
    assert "added 22" in foretold.stdout
    assert list(other.folder.iterdir()) == [other.config]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "out", "two"]


def test_filters_of_the_command_line_choose(router: Router, tmp_path: Path) -> None:
    for words, number in (
        (["--user", "user 1"], 5),
        (["--project", "work"], 0),
        (["--type", "semantic", "--type", "episodic"], 22),
        (["--source", "api"], 0),
        (["--since", "2025-06-15T15:06:40.011Z"], 12),
        (["--until", "2025-06-15T17:06:40.011+02:00"], 10),
        (["--until", "2025-06-15"], 0),
    ):
        result = router.run("export", "--dry-run", "--json", *words)
        assert json.loads(result.stdout)["memories"] == number, words
    assert "not a time such as" in router.run("export", "--dry-run", "--since", "yesterday", status=2).stderr


def test_users_are_chosen_and_renamed(router: Router, other: Router, tmp_path: Path) -> None:
    router.run("export", tmp_path / "out")
    other.run("import", tmp_path / "out", "--user", "user 1", "--map-user", "user 1=new=owner")
    assert {user for user, _ in other.kept()} == {"new=owner"}
    for bad in ("user 1", "=new", "user 1="):
        assert "OLD=NEW" in other.run("import", tmp_path / "out", "--map-user", bad, status=2).stderr
    twice = other.run("import", tmp_path / "out", "--map-user", "a=b", "--map-user", "a=c", status=2)
    assert "two new names" in twice.stderr


def test_a_damaged_file_is_named_by_line_and_ends_with_status_1(router: Router, other: Router, tmp_path: Path) -> None:
    router.run("export", tmp_path / "out")
    lines = (tmp_path / "out").read_bytes().splitlines(keepends=True)
    (tmp_path / "out").write_bytes(b"".join(lines[:10]))
    result = other.run("import", tmp_path / "out", status=1)
    assert (
        "line 11: the trailer is missing; the file is cut off; nothing from this line on was imported" in result.stderr
    )
    assert len(other.kept()) == 9


def test_vectors_of_another_model_are_made_anew_and_that_is_said(router: Router, tmp_path: Path) -> None:
    router.run("export", tmp_path / "out")
    target = Router(tmp_path / "three", model="wordllama")
    result = target.run("import", tmp_path / "out")
    assert "vectors are of hash-64 (64 numbers)" in result.stderr
    assert "embedded 22" in result.stdout
    assert len(target.kept(model=_INFO.model, dimension=_INFO.dimension)) == 22


def test_the_schema_is_printed(router: Router) -> None:
    result = CliRunner().invoke(app, ["export", "--schema"])
    assert json.loads(result.stdout)["title"] == "memrouter-memories, version 2"


def test_what_cannot_be_done_is_one_clear_line(router: Router, other: Router, tmp_path: Path) -> None:
    assert "there is no file" in other.run("export", tmp_path / "out", status=2).stderr
    assert list(other.folder.iterdir()) == [other.config]
    assert "No such file" in other.run("import", tmp_path / "absent", status=2).stderr
    assert "name a file" in router.run("export", status=2).stderr
    assert "empty" in router.run("export", "--dry-run", "--user", "", status=2).stderr
    (tmp_path / "out").touch()
    assert "exists already" in router.run("export", tmp_path / "out", status=2).stderr
    assert "No such file" in router.run("export", tmp_path / "no" / "out", status=2).stderr


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("import - <&-", b"stdin is closed"),
        ("export - >&-", b"stdout is closed"),
        ("export --dry-run >/dev/full", b"the output cannot be written"),
    ],
)
def test_closed_and_full_streams_are_one_clear_line(router: Router, command: str, told: bytes) -> None:
    words, _, redirection = command.rpartition(" ")
    line = f'exec "$0" -m memrouter {words} --config "$1" {redirection}'
    ended = subprocess.run(["sh", "-c", line, sys.executable, str(router.config)], capture_output=True, check=False)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1), ended.stderr
    assert told in ended.stderr


def test_no_user_id_or_text_is_in_any_report(router: Router, other: Router, tmp_path: Path) -> None:
    told = router.run("export", tmp_path / "out").output + other.run("import", tmp_path / "out").output
    assert "user 1" not in told
    assert "fact number" not in told


def wait_for(path: Path, process: "subprocess.Popen[bytes]", *, past: str, over: int) -> int:
    """Return the value of a field in a side file as soon as it is over ``over``."""
    while process.poll() is None:
        with contextlib.suppress(OSError, ValueError):
            if (value := _value(json.loads(path.read_bytes()), past)) > over:
                return value
        time.sleep(0.001)  # only so that the process under test has the machine
    raise AssertionError(process.communicate())


def _value(state: Any, past: str) -> int:
    for name in past.split("."):
        state = state[name]
    return int(state)


MANY = [MAKE(user_id=f"user {number % 7}", access_count=number) for number in range(5000)]


@pytest.mark.parametrize("name", ["out.ndjson", "out.ndjson.gz"])
def test_an_export_killed_in_the_middle_goes_on_without_loss_or_doubles(
    router: Router, other: Router, tmp_path: Path, name: str
) -> None:
    router.fill(MANY)
    path, state = tmp_path / name, tmp_path / f"{name}.part.state"
    process = router.start("export", path, "--page", 1)
    done = wait_for(state, process, past="outcomes.read", over=100)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert done < len(MANY)
    assert not path.exists()
    result = router.run("export", path, "--resume")
    assert "going on behind the first" in result.stderr
    assert f"exported {len(MANY) + 22} memories" in result.stdout
    assert "added" in other.run("import", path).stdout
    assert other.kept() == router.kept()


def test_an_import_killed_in_the_middle_goes_on_without_loss_or_doubles(
    router: Router, other: Router, tmp_path: Path
) -> None:
    router.fill(MANY)
    path, state = tmp_path / "out", tmp_path / "out.import-state"
    router.run("export", path)
    for round_ in (1, 2):
        process = other.start("import", path, "--batch", 1, *(["--resume"] if round_ == 2 else []))
        wait_for(state, process, past="line", over=100 * round_)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert 0 < len(other.kept()) < len(MANY)
    result = other.run("import", path, "--resume", "--json")
    outcomes = json.loads(result.stdout)["outcomes"]
    assert outcomes["read"] == outcomes["added"] + outcomes["kept"] == len(MANY) + 22
    assert outcomes["kept"] <= 2  # written, but not noted, when the process was killed
    assert other.kept() == router.kept()
    assert not state.exists()


def test_an_interrupted_export_says_how_to_go_on(router: Router, tmp_path: Path) -> None:
    router.fill(MANY)
    process = router.start("export", tmp_path / "out", "--page", 1)
    wait_for(tmp_path / "out.part.state", process, past="outcomes.read", over=10)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert b"run the same command with --resume to go on" in errors
    assert b"Traceback" not in errors
    router.run("export", tmp_path / "out", "--resume")
