"""Routers as processes: memrouter in several settings, and LiteLLM's proxy, all in front of the same model server."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import people
from benchmarks.arguments import PEERS
from memrouter.config.load import load_settings
from memrouter.config.memory import MemorySettings
from memrouter.config.settings import Settings
from memrouter.demo.processes import DemoError, free_port, server
from memrouter.embeddings.wordllama import WordLlamaEmbedder
from memrouter.stores.factory import open_store
from memrouter.stores.query import MergeMode

USERS_PER_BATCH = 10
BATCH = 1_000
LITELLM = PEERS / "litellm" / "bin" / "litellm"
LITELLM_ENVIRONMENT: Mapping[str, str] = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
}


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers.

    Attributes:
        port: On 127.0.0.1.
        pid: Of its process.
    """

    port: int
    pid: int


def plain_settings(upstream: int, *, port: int, memory: Mapping[str, Any], log_level: str = "info") -> dict[str, Any]:
    """Return a configuration with one model and one listener, all else as by default.

    Args:
        upstream: Port of the model server.
        port: Of the listener.
        memory: What stands in ``global.stores.memory``.
        log_level: Least serious records that are written.
    """
    names = ("qwen3", "broken", "cut")
    backend = {"base_url": f"http://127.0.0.1:{upstream}/v1"}
    return {
        "version": "v0.3",
        "listeners": [{"name": "http", "address": "127.0.0.1", "port": port}],
        "providers": {"models": [{"name": name, "backend_refs": [backend]} for name in names]},
        "global": {"server": {"log_level": log_level}, "stores": {"memory": dict(memory)}},
    }


@asynccontextmanager
async def memrouter(
    folder: Path, configuration: Mapping[str, Any], *, name: str, workers: int = 1
) -> AsyncIterator[Running]:
    """Run a router while the body runs; it is ready on entry.

    Args:
        folder: Where its files go.
        configuration: From ``plain_settings``.
        name: Of its files.
        workers: How many processes.
    """
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    port = configuration["listeners"][0]["port"]
    ready = f"http://127.0.0.1:{port}/ready"
    command = [*serve_command(file), "--workers", str(workers)]
    async with server(command, ready_url=ready, log=folder / f"{name}.log", env=os.environ) as process:
        yield Running(port, process.pid)


def serve_command(file: Path) -> list[str]:
    """Return the command that runs a router."""
    return [sys.executable, "-m", "memrouter", "serve", "--config", str(file)]


@asynccontextmanager
async def litellm(folder: Path, upstream: int) -> AsyncIterator[Running]:
    """Run LiteLLM's proxy while the body runs: one worker, no database, no key to check, no log of requests.

    Raises:
        DemoError: It is not installed, or did not start.
    """
    command, environment, port = litellm_command(folder, upstream)
    ready = f"http://127.0.0.1:{port}/health/liveliness"
    async with server(command, ready_url=ready, log=folder / "litellm.log", env=environment) as process:
        yield Running(port, process.pid)


def litellm_command(folder: Path, upstream: int) -> tuple[Sequence[str], Mapping[str, str], int]:
    """Return command, environment and port of LiteLLM's proxy.

    Raises:
        DemoError: It is not installed.
    """
    if not LITELLM.exists():
        raise DemoError("LiteLLM is not installed; run: make bench-peers")
    model = {"model": "openai/qwen3", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    file, port = folder / "litellm.yaml", free_port()
    configuration = {
        "model_list": [{"model_name": "qwen3", "litellm_params": model}],
        "litellm_settings": {"set_verbose": False, "request_timeout": 600},
    }
    file.write_text(json.dumps(configuration), encoding="utf-8")
    command = [
        str(LITELLM), "--config", str(file), "--host", "127.0.0.1", "--port", str(port),
        "--num_workers", "1", "--telemetry", "False",
    ]  # fmt: skip
    return command, {**os.environ, **LITELLM_ENVIRONMENT}, port


def checked(configuration: Mapping[str, Any]) -> Settings:
    """Return the settings that a router makes of a configuration."""
    return load_settings(None, env={}, overrides=configuration).settings


async def fill(memory: MemorySettings, users: Sequence[int], per_user: int) -> None:
    """Put users' memories into a store."""
    embedder = await asyncio.to_thread(WordLlamaEmbedder.load)
    info = embedder.info
    store = await open_store(memory, dimension=info.dimension, embedding_model=info.model)
    try:
        for first in range(0, len(users), USERS_PER_BATCH):
            records = await people.memories(embedder, users[first : first + USERS_PER_BATCH], per_user)
            for begin in range(0, len(records), BATCH):
                await store.merge(records[begin : begin + BATCH], mode=MergeMode.SKIP)
    finally:
        await store.aclose()


async def check_all_stored(port: int) -> None:
    """Make sure that a router has dropped no turns.

    Raises:
        RuntimeError: It has.
    """
    if (await counters(port)).get("memrouter_store_queue_dropped_total"):
        raise RuntimeError("turns were dropped instead of stored")


async def counters(port: int) -> dict[str, float]:
    """Return the router's metrics by name and labels."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = [line for line in (await answer.text()).splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
