"""Commands that move memories, run in this process, and the configurations that they are given."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from memrouter.cli.main import app
from memrouter.config.memory import MilvusSettings, SqliteSettings, ValkeySettings
from memrouter.models.memory import MemoryRecord
from memrouter.stores.query import MergeMode, ScanQuery
from memrouter.stores.sqlite.store import SqliteStore

DIMENSION = 64
MODEL = "hash-64"


async def fill_sqlite(path: Path, records: Sequence[MemoryRecord]) -> None:
    settings = SqliteSettings(path=str(path), synchronous="normal")
    store = await SqliteStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)
    await store.merge(records, mode=MergeMode.SKIP)
    await store.aclose()


async def all_of(path: Path) -> list[MemoryRecord]:
    settings = SqliteSettings(path=str(path), synchronous="normal")
    store = await SqliteStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)
    try:
        return [record async for page in store.scan(ScanQuery()) for record in page.records]
    finally:
        await store.aclose()


def run(*args: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*args, "--json"], env={"MEMROUTER_EMBEDDING_MODEL": None})
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def config(path: Path, memory: dict[str, Any]) -> str:
    models = [{"name": "m", "backend_refs": [{"name": "b", "base_url": "http://127.0.0.1:1/v1"}]}]
    tree = {"version": "v0.3", "providers": {"models": models}}
    path.write_text(yaml.safe_dump({**tree, "global": {"stores": {"memory": {"embedding_model": "hash", **memory}}}}))
    return str(path)


def valkey_config(path: Path, settings: ValkeySettings) -> str:
    block = settings.model_dump(exclude={"password"}, exclude_none=True)
    return config(path, {"backend": "valkey", "valkey": block | {"password": settings.password.get_secret_value()}})


def milvus_config(path: Path, settings: MilvusSettings) -> str:
    secrets = {name: getattr(settings, name).get_secret_value() for name in ("password", "token")}
    block = settings.model_dump(exclude=set(secrets), exclude_none=True)
    return config(path, {"backend": "milvus", "milvus": block | secrets})


def memory_lines(path: Path) -> list[bytes]:
    """Return the lines between manifest and trailer."""
    return path.read_bytes().splitlines()[1:-1]
