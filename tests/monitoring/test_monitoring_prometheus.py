"""A real Prometheus with the shipped configuration scrapes a real router; dashboard and rules find something."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml

from memrouter.api.app import create_app
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.runtime import Runtime
from memrouter.testing.upstream import Answer, ScriptedUpstream
from memrouter.testing.valkey import free_port

from .shipped import PROMETHEUS, RULES, program, queries, rules

PATIENCE_SECONDS = 60
FILLED = {
    "Routers", "Chats per second", "Failed chats", "Budget burn, 1 h", "Without memory", "Overhead, p99",
    "Turns waiting", "Version", "Requests by route", "Answers by status", "Time to the last byte", "Overhead",
    "Requests by router", "Chats by memory status", "Retrieval", "Memories", "Memories per retrieval", "Working set",
    "Working set size", "Turns", "Texts at the write gate", "Store calls", "Store calls, p99",
    "Time until an answer begins, p99", "Answers", "Failovers", "Embedder", "Embedder, p99", "Resident memory", "CPU",
    "File descriptors",
}  # fmt: skip
"""Panels that show something after a few chats with SQLite; the others belong to what is off here, or went well."""


@dataclass(frozen=True)
class Server:
    """A Prometheus."""

    api: httpx.AsyncClient

    async def ask(self, query: str) -> list[Any]:
        """Return the samples that answer a query now."""
        answer = await self.api.get("/api/v1/query", params={"query": query})
        assert answer.status_code == 200, f"{query}: {answer.text}"
        found: list[Any] = answer.json()["data"]["result"]
        return found

    async def until(self, query: str) -> None:
        """Wait until a query has an answer."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self.ask(query):
                await asyncio.sleep(0.1)


def configuration(target: str) -> Mapping[str, Any]:
    """Return the shipped configuration with a target here, rules by their whole path, and less patience."""
    shipped: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    job = next(job for job in shipped["scrape_configs"] if job["job_name"] == "memrouter")
    del job["dns_sd_configs"]
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{**job, "static_configs": [{"targets": [target]}]}],
    }


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[Server]:
    file, port = folder / "prometheus.yml", free_port()
    file.write_text(yaml.safe_dump(configuration(target)), encoding="utf-8")
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as api:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await _ready(api):
                    assert process.returncode is None, (folder / "prometheus.log").read_text()
                    await asyncio.sleep(0.1)
            yield Server(api)
    finally:
        process.terminate()
        await process.wait()


async def _ready(api: httpx.AsyncClient) -> bool:
    try:
        return (await api.get("/-/ready")).is_success
    except httpx.TransportError:
        return False


@asynccontextmanager
async def router(folder: Path, *upstreams: ScriptedUpstream) -> AsyncIterator[str]:
    """Run a router and give its address; of the upstreams, the first one is preferred."""
    refs = [{"name": f"b{n}", "endpoint": each.endpoint, "weight": int(not n)} for n, each in enumerate(upstreams)]
    overrides = {
        "providers": {"models": [{"name": "m", "backend_refs": refs}]},
        "global": {
            "server": {"backend_cooldown": 0},
            "stores": {"memory": {"sqlite": {"path": str(folder / "m.db"), "synchronous": "normal"}}},
        },
    }
    settings = load_settings(None, env={}, overrides=overrides).settings
    runtime = await Runtime.open(settings, env={}, clock=SystemClock(), rng=random.Random(1))
    bound = socket.create_server(("127.0.0.1", 0))
    app = create_app(runtime, settings.listeners[0])
    server = uvicorn.Server(uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        yield f"127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        await runtime.aclose()


async def chat(address: str) -> None:
    """Remember something, and ask for it."""
    async with httpx.AsyncClient(base_url=f"http://{address}", headers={"x-authz-user-id": "u"}, timeout=30) as client:
        await client.post("/v1/memory", json={"content": "My cat is called Miso."})
        message = {"role": "user", "content": "What is my cat called, please tell me?"}
        answer = await client.post("/v1/chat/completions", json={"model": "m", "messages": [message]})
        assert answer.headers["x-memory-status"] == "used"


def substituted(query: str) -> str:
    """Return a query as Grafana would ask it: every router of the job, over a short time."""
    return query.replace("$job", "memrouter").replace("$instance", ".*").replace("$__rate_interval", "1m")


@pytest.fixture
async def scraped(tmp_path: Path) -> AsyncIterator[Server]:
    """A Prometheus that has seen chats, and failovers, between two scrapes."""
    async with (
        ScriptedUpstream(Answer.error(503)) as failing,
        ScriptedUpstream() as answering,
        router(tmp_path, failing, answering) as address,
        prometheus(tmp_path, address) as server,
    ):
        await chat(address)
        await server.until("count_over_time(memrouter_upstream_failovers_total[1m]) >= 1")
        await chat(address)
        await server.until("increase(memrouter_upstream_failovers_total[1m]) > 0")
        await server.until("increase(memrouter_store_queue_done_total[1m]) > 0")
        yield server


async def test_dashboard_and_rules_find_what_a_router_exposes(scraped: Server) -> None:
    filled = {title for title, query in queries() if await scraped.ask(substituted(query))}
    assert filled >= FILLED
    for rule in rules():
        await scraped.ask(rule["expr"])
    await scraped.until("job:memrouter_retrieval_seconds:p99_rate5m")
    await scraped.until("job_backend_operation:memrouter_store_operation_seconds:p99_rate5m")
    (resident,) = await scraped.ask("process_resident_memory_bytes")
    assert float(resident["value"][1]) > 1e7
    firing = {alert["metric"]["alertname"] for alert in await scraped.ask('ALERTS{alertstate="firing"}')}
    assert firing == set()
