"""What surrounds a request: its id, its log line, its metrics."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from memrouter.api.access import AccessMiddleware
from memrouter.observability.metrics import Metrics
from memrouter.testing.clock import ManualClock

Connect = Callable[[FastAPI], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def app(bare_app: FastAPI, clock: ManualClock) -> FastAPI:
    @bare_app.get("/things/{name}")
    async def show(name: str, request: Request) -> Response:
        clock.ms += 25
        headers = {"x-memory-status": "used", "x-request-id": "of-the-upstream"}
        return Response(request.scope["state"]["request_id"], headers=headers)

    @bare_app.get("/broken")
    async def broken() -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError

        return StreamingResponse(pieces())

    return bare_app


def access_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.name == "memrouter.api.access" and record.levelno == 20]


@pytest.mark.parametrize("given", ["a", "A-Z_09.x", "r" * 128])
async def test_a_sound_request_id_is_kept(app: FastAPI, connect: Connect, given: str) -> None:
    async with connect(app) as client:
        reply = await client.get("/things/x", headers={"x-request-id": given})
    assert reply.headers.get_list("x-request-id") == [given]
    assert reply.text == given


@pytest.mark.parametrize("given", ["", "r" * 129, "a b", "a\nb", 'a"b', "é"])
async def test_an_unsound_request_id_is_replaced(app: FastAPI, connect: Connect, given: str) -> None:
    async with connect(app) as client:
        reply = await client.get("/things/x", headers=[(b"x-request-id", given.encode())])
    assert reply.headers.get_list("x-request-id") == ["request-1"]


async def test_two_request_ids_are_none(app: FastAPI, connect: Connect) -> None:
    async with connect(app) as client:
        reply = await client.get("/things/x", headers=[(b"x-request-id", b"a"), (b"x-request-id", b"b")])
    assert reply.headers["x-request-id"] == "request-1"


async def test_a_request_is_logged_by_its_template_without_query_or_user(
    app: FastAPI, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with connect(app) as client:
        await client.get("/things/private?q=secret", headers={"x-authz-user-id": "alice"})
    (line,) = access_lines(caplog)
    assert (line["method"], line["route"], line["status"], line["ms"]) == ("GET", "/things/{name}", 200, 25.0)
    assert (line["memory_status"], line["complete"]) == ("used", True)
    for hidden in ("private", "secret", "alice"):
        assert hidden not in str(line)


async def test_requests_are_counted_by_template_method_and_status(
    app: FastAPI, connect: Connect, metrics: Metrics
) -> None:
    async with connect(app) as client:
        for path in ("/things/a", "/things/b", "/elsewhere/a", "/elsewhere/b"):
            await client.get(path)
        await client.request("BREW", "/things/a")
    text = metrics.render().decode()
    assert 'memrouter_requests_total{method="GET",route="/things/{name}",status="200"} 2.0' in text
    assert 'memrouter_requests_total{method="GET",route="other",status="404"} 2.0' in text
    assert 'memrouter_requests_total{method="other",route="/things/{name}",status="405"} 1.0' in text
    assert "elsewhere" not in text


async def run(app: AccessMiddleware, sent: list[Message]) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)


def wrapped(app: Callable[[Scope, Receive, Send], Any], metrics: Metrics, clock: ManualClock) -> AccessMiddleware:
    return AccessMiddleware(app, metrics=metrics, clock=clock, ids=lambda: "new")


async def test_pieces_pass_as_they_come_and_the_line_follows_the_last(
    metrics: Metrics, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sent: list[Message] = []
    written: list[int] = []
    pieces = [
        {"type": "http.response.body", "body": b"a", "more_body": True},
        {"type": "http.response.body", "body": b"b", "more_body": False},
    ]

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in pieces:
            await send(piece)
            written.append(len(access_lines(caplog)))

    await run(wrapped(inner, metrics, clock), sent)
    assert all(passed is piece for passed, piece in zip(sent[1:], pieces, strict=True))
    assert written == [0, 1]
    assert len(access_lines(caplog)) == 1


async def test_a_failure_in_the_middle_of_an_answer_cuts_the_connection(
    app: FastAPI, connect: Connect, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(RuntimeError):
        async with connect(app) as client:
            await client.get("/broken")
    (line,) = access_lines(caplog)
    assert line["complete"] is False
    assert b'memrouter_errors_total{kind="internal_error"} 1.0' in metrics.render()


async def test_a_failure_after_the_last_byte_is_logged_and_goes_no_further(
    metrics: Metrics, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        raise RuntimeError

    sent: list[Message] = []
    await run(wrapped(inner, metrics, clock), sent)
    assert len(sent) == 2
    assert [record.getMessage() for record in caplog.records if record.levelno >= 40] == ["request failed unexpectedly"]


async def test_a_cancelled_request_is_counted_as_left_by_the_client(metrics: Metrics, clock: ManualClock) -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run(wrapped(inner, metrics, clock), [])
    assert b'status="499"} 1.0' in metrics.render()


async def test_other_protocols_pass_untouched(metrics: Metrics, clock: ManualClock) -> None:
    seen: list[Scope] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        raise AssertionError

    scope = {"type": "lifespan"}
    await wrapped(inner, metrics, clock)(scope, receive, send)
    assert seen == [{"type": "lifespan"}]
    assert "request_id" not in str(scope)
