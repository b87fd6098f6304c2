"""``memrouter index`` against a real server."""

import asyncio
import json
import os
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from memrouter.cli.index import index_app
from memrouter.config.memory import ValkeySettings
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.schema import IndexSchema
from memrouter.testing.valkey import apart, free_port, some_server

T = TypeVar("T")
Write = Callable[..., str]


@pytest.fixture(scope="module")
def base() -> Iterator[ValkeySettings]:
    with some_server(os.environ) as settings:
        yield settings


@pytest.fixture
def settings(base: ValkeySettings) -> ValkeySettings:
    return apart(base)


@pytest.fixture
def write(settings: ValkeySettings, tmp_path: Path) -> Write:
    def written(**changes: Any) -> str:
        block = settings.model_dump(exclude={"password"}, exclude_none=True)
        block |= {"password": settings.password.get_secret_value()} | changes
        memory = {"backend": "valkey", "embedding_model": "hash", "valkey": block}
        models = [{"name": "m", "backend_refs": [{"name": "b", "base_url": "http://127.0.0.1:1/v1"}]}]
        path = tmp_path / f"{uuid.uuid4().hex}.yaml"
        path.write_text(
            yaml.safe_dump(
                {"version": "v0.3", "providers": {"models": models}, "global": {"stores": {"memory": memory}}}
            )
        )
        return str(path)

    return written


@pytest.fixture
def file(write: Write, settings: ValkeySettings) -> Iterator[str]:
    yield write()
    on_server(settings, lambda connection: clean(connection, settings))


def run(*args: str, typed: str = "") -> Result:
    return CliRunner().invoke(index_app, list(args), env={"MEMROUTER_EMBEDDING_MODEL": None}, input=typed)


def on_server(settings: ValkeySettings, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
    async def connected() -> T:
        connection = await Connection.open(settings)
        try:
            return await work(connection)
        finally:
            await connection.aclose()

    return asyncio.run(connected())


async def clean(connection: Connection, settings: ValkeySettings) -> None:
    await connection.attempt([["FT.DROPINDEX", settings.index_name], ["UNLINK", f"~{settings.collection_prefix}meta"]])
    async for keys in connection.scan(f"{settings.collection_prefix}*"):
        await connection.pipeline([["UNLINK", key] for key in keys])


def dimension_of(file: str) -> int:
    run("create", "--config", file)
    found = int(json.loads(run("info", "--config", file, "--json").stdout)["index"]["vector"]["dimension"])
    run("drop", "--config", file, "--yes")
    return found


def test_a_missing_index_is_told_then_made_then_shown(file: str, settings: ValkeySettings) -> None:
    missing = run("info", "--config", file)
    assert missing.exit_code == 1
    assert "does not exist; run: memrouter index create" in missing.stdout
    made = run("create", "--config", file)
    assert (made.exit_code, made.stdout) == (0, f"the index {settings.index_name} was created\n")
    assert "is there already" in run("create", "--config", file).stdout
    shown = run("info", "--config", file)
    assert shown.exit_code == 0
    assert "FLAT COSINE" in shown.stdout
    assert "documents:   0" in shown.stdout


def test_json_tells_server_index_and_differences(file: str, write: Write) -> None:
    run("create", "--config", file)
    facts = json.loads(run("info", "--config", file, "--json").stdout)
    assert facts["server"]["product"] in ("Valkey", "Redis")
    assert facts["server"]["search"] in ("valkey-search", "RediSearch")
    assert facts["index"]["fields"]["owner"] == "TAG"
    assert facts["vectors"]["embedding_model"]
    assert facts["differences"] == []
    other = run("info", "--config", write(metric_type="IP"), "--json")
    assert other.exit_code == 1
    assert [one["what"] for one in json.loads(other.stdout)["differences"]] == ["metric_type"]


def test_an_index_that_does_not_fit_is_not_created_over(file: str, write: Write) -> None:
    run("create", "--config", file)
    result = run("create", "--config", write(metric_type="IP"))
    assert result.exit_code == 2
    assert "metric_type is COSINE, configured is IP" in result.stderr
    assert "Traceback" not in result.output


def test_rebuild_moves_the_go_routers_memories(file: str, settings: ValkeySettings) -> None:
    dimension = dimension_of(file)

    async def fill(connection: Connection) -> None:
        await connection.run(IndexSchema.from_settings(settings, dimension=dimension).legacy_command())
        vector = np.ones(dimension, dtype="<f4").tobytes()
        fields = ["id", "m1", "user_id", "alice", "content", "tea", "created_at", "1", "updated_at", "1"]
        await connection.run(["HSET", f"{settings.collection_prefix}m1", *fields, "embedding", vector])
        await connection.run(["HSET", f"{settings.collection_prefix}odd", "a", "b"])

    on_server(settings, fill)
    before = run("info", "--config", file)
    assert "(Go router)" in before.stdout
    assert "run: memrouter index rebuild" in before.stdout
    result = run("rebuild", "--config", file)
    assert result.exit_code == 0
    assert result.stdout == "index rebuilt; 1 memories moved to their owners' keys\n"
    assert "1 rows were left as they are" in result.stderr
    assert "(Go router)" not in run("info", "--config", file).stdout


def test_rebuild_gives_an_index_another_form(file: str, write: Write) -> None:
    run("create", "--config", file)
    graph = write(index_algorithm="hnsw")
    assert run("create", "--config", graph).exit_code == 2
    assert run("rebuild", "--config", graph).exit_code == 0
    assert "HNSW" in run("info", "--config", graph).stdout


def test_drop_asks_and_says_what_it_means(file: str) -> None:
    run("create", "--config", file)
    refused = run("drop", "--config", file, typed="n\n")
    assert refused.exit_code == 1
    assert "The memories stay" in refused.stdout
    assert run("info", "--config", file).exit_code == 0
    assert "was dropped; the memories are untouched" in run("drop", "--config", file, typed="y\n").stdout
    assert "there is no index" in run("drop", "--config", file, "--yes").stdout


def test_an_empty_store_may_change_its_model_after_a_drop(file: str, write: Write, settings: ValkeySettings) -> None:
    run("create", "--config", file)
    while json.loads(run("info", "--config", file, "--json").stdout)["index"]["backfilling"]:
        pass
    run("drop", "--config", file, "--yes")
    assert json.loads(run("info", "--config", file, "--json").stdout)["vectors"] == {}


def test_a_server_that_is_not_there_is_one_clear_line(write: Write) -> None:
    file = write(host="127.0.0.1", port=free_port(), timeout=2)
    for command in ("info", "create", "rebuild"):
        result = run(command, "--config", file)
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert "cannot be reached" in result.stderr


def test_a_store_without_an_index_is_told(tmp_path: Path) -> None:
    path = tmp_path / "sqlite.yaml"
    path.write_text("version: v0.3\nglobal: {stores: {memory: {backend: sqlite}}}\n")
    result = run("info", "--config", str(path))
    assert result.exit_code == 2
    assert "Only the Valkey store has a search index" in result.stderr
