"""The way past the framework's router changes nothing that a client can see."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from memrouter.api.access import AccessMiddleware
from memrouter.api.direct import DirectApp, DirectRoute
from memrouter.api.errors import install
from memrouter.errors import InvalidRequest
from memrouter.observability.metrics import Metrics
from memrouter.testing.clock import ManualClock

PATH = "/v1/chat/completions"
Connect = Callable[[FastAPI], AbstractAsyncContextManager[httpx.AsyncClient]]


async def endpoint(request: Request) -> Response:
    body = (await request.body()).decode()
    if body == "wrong":
        raise InvalidRequest("that is wrong", param="messages")
    if body == "broken":
        raise KeyError(body)
    return PlainTextResponse(f"said {body}")


def app_of(metrics: Metrics, *, direct: bool) -> FastAPI:
    app = DirectApp(direct=DirectRoute(path=PATH, endpoint=endpoint, metrics=metrics) if direct else None)
    install(app, metrics=metrics)
    app.surround(Middleware(AccessMiddleware, metrics=metrics, clock=ManualClock(), ids=lambda: "req_1"))
    app.add_api_route(PATH, endpoint, methods=["POST"])
    return app


@pytest.fixture
async def both(connect: Connect) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    async with connect(app_of(Metrics(), direct=True)) as one, connect(app_of(Metrics(), direct=False)) as other:
        yield one, other


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", PATH, "hello"),
        ("POST", PATH + "?x=1", "hello"),
        ("POST", PATH, "wrong"),
        ("POST", PATH, "broken"),
        ("GET", PATH, ""),
        ("DELETE", PATH, ""),
        ("HEAD", PATH, ""),
        ("OPTIONS", PATH, ""),
        ("POST", PATH + "/", "hello"),
        ("POST", "/v1//chat/completions", "hello"),
        ("POST", "/v1/chat/completion%73", "hello"),
        ("POST", PATH + "/more", "hello"),
        ("POST", "/V1/chat/completions", "hello"),
    ],
)
async def test_every_answer_is_the_framework_s(
    both: tuple[httpx.AsyncClient, httpx.AsyncClient], method: str, path: str, body: str
) -> None:
    one, other = [await client.request(method, path, content=body) for client in both]
    assert (one.status_code, one.content, one.headers) == (other.status_code, other.content, other.headers)


async def test_requests_and_errors_are_counted_under_the_route(connect: Connect) -> None:
    metrics = Metrics()
    async with connect(app_of(metrics, direct=True)) as client:
        for body in ("hello", "wrong"):
            await client.post(PATH, content=body)
    text = metrics.render().decode()
    assert f'memrouter_requests_total{{method="POST",route="{PATH}",status="200"}} 1.0' in text
    assert f'memrouter_requests_total{{method="POST",route="{PATH}",status="400"}} 1.0' in text
    assert 'memrouter_errors_total{kind="invalid_request"} 1.0' in text
