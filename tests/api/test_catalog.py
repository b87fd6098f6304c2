"""Models, health, readiness and metrics over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import httpx
import pytest
from fastapi import FastAPI

from memrouter.api.caller import Access
from memrouter.api.catalog import catalog_routes
from memrouter.api.readiness import Check, Readiness
from memrouter.errors import StoreUnavailable
from memrouter.observability.metrics import Metrics
from memrouter.testing.clock import ManualClock


class Broken:
    def __init__(self) -> None:
        self.message = ""

    async def probe(self) -> None:
        if self.message:
            raise StoreUnavailable(self.message)


@pytest.fixture
def store_part() -> Broken:
    return Broken()


@pytest.fixture
def cache_part() -> Broken:
    return Broken()


@pytest.fixture
async def client(
    bare_app: FastAPI,
    connect: Callable[[FastAPI], AbstractAsyncContextManager[httpx.AsyncClient]],
    metrics: Metrics,
    clock: ManualClock,
    store_part: Broken,
    cache_part: Broken,
    access: Access,
) -> AsyncIterator[httpx.AsyncClient]:
    checks = [Check("store", store_part.probe), Check("cache", cache_part.probe, required=False)]
    bare_app.include_router(
        catalog_routes(
            model_names=lambda: ("auto", "qwen3", "meta-llama/Llama-3"),
            readiness=Readiness(checks, clock=clock),
            exposition=partial(asyncio.to_thread, metrics.render),
            clock=clock,
            access=access,
        )
    )
    async with connect(bare_app) as opened:
        yield opened


async def test_models_are_listed_in_openai_form(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["auto", "qwen3", "meta-llama/Llama-3"]
    assert listed["data"][0] == {"id": "auto", "object": "model", "created": 1_767_225_600, "owned_by": "memrouter"}


@pytest.mark.parametrize("name", ["qwen3", "meta-llama/Llama-3", "meta-llama%2FLlama-3"])
async def test_a_model_is_shown_by_its_name(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/v1/models/{name}")).json()["id"] == name.replace("%2F", "/")


@pytest.mark.parametrize("name", ["gpt-9", "QWEN3", "%00"])
async def test_an_unknown_model_is_a_404(client: httpx.AsyncClient, name: str) -> None:
    reply = await client.get(f"/v1/models/{name}")
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "model_not_found"
    assert reply.json()["error"]["type"] == "invalid_request_error"


async def test_ready_says_what_is_wrong(
    client: httpx.AsyncClient, clock: ManualClock, store_part: Broken, cache_part: Broken
) -> None:
    good = await client.get("/ready")
    assert (good.status_code, good.json()["status"]) == (200, "ok")
    cache_part.message = "cache refused"
    clock.ms += 1000
    degraded = await client.get("/ready")
    assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
    assert degraded.json()["checks"]["cache"] == {"status": "degraded", "detail": "cache refused"}
    store_part.message = "store refused"
    clock.ms += 1000
    failed = await client.get("/ready")
    assert (failed.status_code, failed.json()["status"]) == (503, "failed")
    assert failed.json()["checks"]["store"] == {"status": "failed", "detail": "store refused"}


async def test_a_process_whose_store_fails_is_still_alive(client: httpx.AsyncClient, store_part: Broken) -> None:
    store_part.message = "gone"
    reply = await client.get("/health")
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})


async def test_metrics_are_prometheus_text(client: httpx.AsyncClient) -> None:
    await client.get("/health")
    reply = await client.get("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'memrouter_requests_total{method="GET",route="/health",status="200"} 1.0' in reply.text
