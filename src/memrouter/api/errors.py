"""What a failure looks like from outside: the one place that knows status codes.

Every error leaves in OpenAI's form, ``{"error": {"message", "type", "code", "param"}}``.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import Scope

from memrouter.api.body import invalid_request
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
    RequestError,
    StoreError,
    StoreUnavailable,
    Unauthenticated,
    UnknownModel,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from memrouter.observability.metrics import Metrics

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST: Final = 499
"""Status, borrowed from nginx, for an answer that nobody waited for."""

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    """``invalid_request_error``, ``authentication_error``, ``permission_error``, ``rate_limit_error`` or
    ``server_error``."""
    code: str
    """Stable word for programs."""
    param: str | None
    """The field or header at fault."""


class ErrorBody(BaseModel):
    """The body of every error."""

    error: ErrorDetail


CALLER_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": ErrorBody, "description": "Nobody is identified, or a credential is not believed"},
    403: {"model": ErrorBody, "description": "The caller may not do this"},
    429: {"model": ErrorBody, "description": "The caller asks too often; `retry-after` says when to try again"},
}
"""What every route that asks who is calling may answer, for its description."""


@dataclass(frozen=True, slots=True)
class _Rule:
    status: int
    type: str
    code: str
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    """Said in place of the error's own message, which may name hosts that are none of the client's business."""


_LATER: Final = {"retry-after": "1"}
_CLOSE: Final = {"connection": "close"}

# Looked up along the class hierarchy, so a subclass without a rule of its own takes its parent's.
_RULES: Final[Mapping[type[BaseException], _Rule]] = {
    DamagedData: _Rule(422, "invalid_request_error", "damaged_data", _CLOSE),
    InvalidRequest: _Rule(400, "invalid_request_error", "invalid_request"),
    Unauthenticated: _Rule(401, "authentication_error", "unauthenticated"),
    Forbidden: _Rule(403, "permission_error", "forbidden"),
    RateLimited: _Rule(429, "rate_limit_error", "rate_limit_exceeded"),
    NotFound: _Rule(404, "invalid_request_error", "not_found"),
    UnknownModel: _Rule(404, "invalid_request_error", "model_not_found"),
    MemoryConflict: _Rule(409, "invalid_request_error", "memory_conflict"),
    # The rest of the body has not been read, so the connection cannot serve another request.
    BodyTooLarge: _Rule(413, "invalid_request_error", "body_too_large", _CLOSE),
    RequestError: _Rule(400, "invalid_request_error", "invalid_request"),
    Overloaded: _Rule(503, "server_error", "overloaded", _LATER),
    StoreUnavailable: _Rule(
        503, "server_error", "store_unavailable", _LATER, message="the memory store cannot serve now; try again"
    ),
    EmbeddingError: _Rule(
        503, "server_error", "embedding_failed", _LATER, message="the text cannot be embedded now; try again"
    ),
    StoreError: _Rule(500, "server_error", "store_error", message="the memory store cannot do this"),
    UpstreamUnreachable: _Rule(
        502,
        "server_error",
        "upstream_unreachable",
        message="no server of this model could be reached, or what it answered is not HTTP",
    ),
    UpstreamTimeout: _Rule(504, "server_error", "upstream_timeout", message="the model's server kept silent too long"),
    UpstreamError: _Rule(502, "server_error", "upstream_error", message="the model's server broke off its answer"),
    ClientDisconnect: _Rule(CLIENT_CLOSED_REQUEST, "invalid_request_error", "client_disconnected"),
}
_UNEXPECTED: Final = _Rule(500, "server_error", "internal_error")


def error_body(error: BaseException, *, request_id: str = "") -> dict[str, Any]:
    """Return the JSON body for an error.

    An error that was not raised on purpose, or that names servers behind the router, gives a fixed message with the
    request id and nothing of its own.
    """
    rule = _rule(error)
    if rule.message:
        message = f"{rule.message}; the server's log has more under request id {request_id or '(none)'}"
    elif isinstance(error, MemrouterError) and rule is not _UNEXPECTED:
        message = str(error)
    elif isinstance(error, ClientDisconnect):
        message = "the client closed the connection before its request was complete"
    else:
        message = f"internal error; the server's log has more under request id {request_id or '(none)'}"
    code = error.code if isinstance(error, RequestError) else rule.code
    return _body(message, rule.type, code, error.param if isinstance(error, RequestError) else None)


def error_response(
    error: BaseException, *, request_id: str = "", headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the answer for an error, with ``headers`` added to those that belong to its status."""
    rule = _rule(error)
    return JSONResponse(
        error_body(error, request_id=request_id),
        rule.status,
        headers={**rule.headers, **_own_headers(error), **(headers or {})},
    )


def error_status(error: BaseException) -> int:
    """Return the HTTP status of an error."""
    return _rule(error).status


def error_kind(error: BaseException) -> str:
    """Return the kind of an error for metrics: one of a fixed list, whatever code the error itself carries."""
    return _rule(error).code


def log_error(error: BaseException) -> None:
    """Log an error of the server's side: with a traceback where it was not raised on purpose."""
    rule = _rule(error)
    if rule is _UNEXPECTED:
        logger.error("request failed unexpectedly", exc_info=error)
    elif rule.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.warning("request failed: %s", error, extra={"error": rule.code})


def expected_error(scope: Scope, error: Exception, *, metrics: Metrics) -> JSONResponse:
    """Log and count an error of a request and return the answer for it."""
    log_error(error)
    metrics.error(error_kind(error))
    return error_response(error, request_id=scope.get("state", {}).get("request_id", ""))


def install(app: FastAPI, *, metrics: Metrics) -> None:
    """Give every expected error of ``app`` its one form, count it, and log those of the server's side.

    Unexpected ones are left to ``memrouter.api.access.AccessMiddleware``, which sees all of them.
    """

    async def on_error(request: Request, error: Exception) -> JSONResponse:
        return expected_error(request.scope, error, metrics=metrics)

    async def on_validation(request: Request, error: Exception) -> JSONResponse:
        problems = error.errors() if isinstance(error, RequestValidationError) else []
        located = [{**problem, "loc": problem["loc"][1:]} for problem in problems]
        return expected_error(request.scope, invalid_request(located, whole="request"), metrics=metrics)

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        response = _http_response(request.scope, error)
        metrics.error("http_error")
        return response

    app.add_exception_handler(MemrouterError, on_error)
    app.add_exception_handler(ClientDisconnect, on_error)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)


def _own_headers(error: BaseException) -> dict[str, str]:
    """Return the headers that say what to do about an error."""
    if isinstance(error, Unauthenticated) and error.challenge:
        return {"www-authenticate": error.challenge}
    return {"retry-after": str(error.retry_after)} if isinstance(error, RateLimited) else {}


def _rule(error: BaseException) -> _Rule:
    return next((_RULES[kind] for kind in type(error).__mro__ if kind in _RULES), _UNEXPECTED)


def _body(message: str, kind: str, code: str, param: str | None) -> dict[str, Any]:
    return ErrorBody(error=ErrorDetail(message=message, type=kind, code=code, param=param)).model_dump()


def _http_response(scope: Scope, error: Exception) -> JSONResponse:
    """Return the answer for an error that the framework raised: no such route, wrong method and the like."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR.value
    given = (error.headers if isinstance(error, HTTPException) else None) or {}
    headers = {name.lower(): value for name, value in given.items()}
    if status == HTTPStatus.NOT_FOUND:
        message, code = "no such route; /docs lists them", "route_not_found"
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = _allowed_methods(scope)
        headers["allow"] = ", ".join(allowed)
        message, code = f"this route takes {' and '.join(allowed)} only", "method_not_allowed"
    else:
        message, code = HTTPStatus(status).description or HTTPStatus(status).phrase, "http_error"
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    return JSONResponse(_body(message, kind, code, None), status, headers=headers)


def _allowed_methods(scope: Scope) -> list[str]:
    """Return every method that some route has for this path; the framework names those of one route only."""
    routes = scope["app"].routes
    return [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]
