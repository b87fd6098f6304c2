"""Every failure leaves in one form with the right status."""

import inspect
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, Query
from starlette.requests import ClientDisconnect

from memrouter import errors
from memrouter.api.errors import error_body, error_kind, error_response
from memrouter.errors import (
    BodyTooLarge,
    DamagedData,
    EmbeddingError,
    Forbidden,
    InvalidRequest,
    MemoryConflict,
    MemrouterError,
    NotFound,
    Overloaded,
    RateLimited,
    SchemaMismatch,
    StoreError,
    StoreUnavailable,
    Unauthenticated,
    UnknownModel,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from memrouter.observability.metrics import Metrics

Connect = Callable[[FastAPI], AbstractAsyncContextManager[httpx.AsyncClient]]

EXPECTED = [
    (InvalidRequest("no", param="f"), 400, "invalid_request_error", "invalid_request"),
    (InvalidRequest("no", code="invalid_json"), 400, "invalid_request_error", "invalid_json"),
    (Unauthenticated("who"), 401, "authentication_error", "unauthenticated"),
    (Forbidden("not you"), 403, "permission_error", "forbidden"),
    (RateLimited("slowly", retry_after=3), 429, "rate_limit_error", "rate_limit_exceeded"),
    (NotFound("gone"), 404, "invalid_request_error", "not_found"),
    (UnknownModel("which"), 404, "invalid_request_error", "model_not_found"),
    (MemoryConflict(["a"]), 409, "invalid_request_error", "memory_conflict"),
    (BodyTooLarge("big"), 413, "invalid_request_error", "body_too_large"),
    (DamagedData(7, "odd"), 422, "invalid_request_error", "damaged_data"),
    (SchemaMismatch("reindex /var/x.db"), 500, "server_error", "store_error"),
    (StoreError("odd /var/x.db"), 500, "server_error", "store_error"),
    (UpstreamUnreachable("down at db.internal"), 502, "server_error", "upstream_unreachable"),
    (UpstreamError("broke at gpu.internal"), 502, "server_error", "upstream_error"),
    (StoreUnavailable("down at db.internal"), 503, "server_error", "store_unavailable"),
    (EmbeddingError("down at db.internal"), 503, "server_error", "embedding_failed"),
    (Overloaded("full"), 503, "server_error", "overloaded"),
    (UpstreamTimeout("silent at gpu.internal"), 504, "server_error", "upstream_timeout"),
]


@pytest.mark.parametrize(("error", "status", "kind", "code"), EXPECTED, ids=lambda value: type(value).__name__)
def test_each_error_has_its_status_type_and_code(error: MemrouterError, status: int, kind: str, code: str) -> None:
    assert error_response(error).status_code == status
    body = error_body(error, request_id="r1")["error"]
    assert (body["type"], body["code"], body["param"]) == (kind, code, getattr(error, "param", None))
    if status < 500 or isinstance(error, Overloaded):
        assert body["message"] == str(error)
    else:
        assert str(error) not in body["message"], "such a message may name hosts and files behind the router"
        assert "r1" in body["message"]


def test_errors_of_identity_and_limits_say_what_to_do_in_a_header() -> None:
    refused = error_response(Unauthenticated("who", challenge='Bearer realm="memrouter"'))
    assert refused.headers["www-authenticate"] == 'Bearer realm="memrouter"'
    assert "www-authenticate" not in error_response(Unauthenticated("who")).headers
    assert error_response(RateLimited("slowly", retry_after=3)).headers["retry-after"] == "3"


def test_no_error_that_can_reach_a_client_is_without_a_rule() -> None:
    named = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, MemrouterError)
        and kind not in (MemrouterError, errors.ConfigError, errors.MissingExtra, errors.RerankError)
        and kind not in (errors.RouterFailed, errors.RouterUnreachable)  # raised in the client's process
    }
    tried = {type(error) for error, *_ in EXPECTED}
    assert named - tried == {errors.RequestError}
    assert error_response(errors.RequestError("no")).status_code == 400


@pytest.mark.parametrize("error", [StoreUnavailable("x"), EmbeddingError("x"), Overloaded("x")])
def test_what_may_pass_says_when_to_try_again(error: MemrouterError) -> None:
    assert error_response(error, headers={"x-memory-count": "0"}).headers["retry-after"] == "1"


@pytest.mark.parametrize("error", [RuntimeError("secret"), KeyError("secret"), errors.ConfigError([])])
def test_an_unexpected_error_says_nothing_of_its_own(error: Exception) -> None:
    body = error_body(error, request_id="r-7")["error"]
    assert body["code"] == error_kind(error) == "internal_error"
    assert "r-7" in body["message"]
    assert "secret" not in body["message"]
    assert error_response(error).status_code == 500


def test_a_metric_kind_never_comes_from_the_request() -> None:
    assert error_kind(InvalidRequest("x", code="made up")) == "invalid_request"


@pytest.fixture
def app(bare_app: FastAPI) -> FastAPI:
    @bare_app.get("/things/{name}")
    async def show(name: str, size: Annotated[int, Query(ge=1)] = 1) -> str:
        raise {"closed": StoreUnavailable("closed"), "left": ClientDisconnect(), "bug": RuntimeError("prompt")}[name]

    @bare_app.put("/things/{name}")
    async def replace(name: str) -> str:
        return name

    return bare_app


async def test_an_unknown_route_has_the_one_form(app: FastAPI, connect: Connect, metrics: Metrics) -> None:
    async with connect(app) as client:
        reply = await client.get("/nowhere/secret")
    assert reply.status_code == 404
    error = reply.json()["error"]
    assert error == {
        "message": "no such route; /docs lists them",
        "type": "invalid_request_error",
        "code": "route_not_found",
        "param": None,
    }
    assert b'memrouter_errors_total{kind="http_error"} 1.0' in metrics.render()


async def test_a_wrong_method_names_all_that_are_allowed(app: FastAPI, connect: Connect) -> None:
    async with connect(app) as client:
        reply = await client.delete("/things/x")
    assert reply.status_code == 405
    assert reply.headers["allow"] == "GET, PUT"
    assert reply.json()["error"]["code"] == "method_not_allowed"


async def test_a_parameter_of_the_wrong_type_is_a_400_that_names_it(app: FastAPI, connect: Connect) -> None:
    async with connect(app) as client:
        reply = await client.get("/things/x?size=0")
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "size"


async def test_a_server_fault_is_logged_and_counted(
    app: FastAPI, connect: Connect, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(app) as client:
        reply = await client.get("/things/closed")
    assert reply.status_code == 503
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "request failed: closed"
    ]
    assert b'memrouter_errors_total{kind="store_unavailable"} 1.0' in metrics.render()


async def test_a_client_that_left_is_no_server_fault(
    app: FastAPI, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(app) as client:
        assert (await client.get("/things/left")).status_code == 499
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_bug_is_a_500_with_the_request_id_and_one_traceback(
    app: FastAPI, connect: Connect, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(app) as client:
        reply = await client.get("/things/bug", headers={"x-request-id": "trace-me"})
    assert reply.status_code == 500
    assert reply.headers["x-request-id"] == "trace-me"
    assert "trace-me" in reply.json()["error"]["message"]
    assert "prompt" not in reply.text
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert b'memrouter_errors_total{kind="internal_error"} 1.0' in metrics.render()
