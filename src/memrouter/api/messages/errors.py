"""Errors in the form of Anthropic's API."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel
from starlette.responses import JSONResponse

from memrouter.api.errors import error_body, error_response
from memrouter.errors import MemrouterError

REQUEST_ID_HEADER: Final = "request-id"
"""Where Anthropic's clients look for the id of a request."""

_KINDS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STATUSES: Final = {503: 529}
"""Statuses that have another number in Anthropic's API."""


class MessagesErrorDetail(BaseModel):
    """What went wrong."""

    type: str
    """``invalid_request_error``, ``authentication_error``, ``overloaded_error`` and the like."""
    message: str


class MessagesErrorBody(BaseModel):
    """The body of every error on the Messages routes."""

    type: Literal["error"] = "error"
    error: MessagesErrorDetail
    request_id: str


def status_of(status: int) -> int:
    """Return the status that Anthropic's API has for an HTTP status of the router or of a backend."""
    return _STATUSES.get(status, status)


def error_object(status: int, message: str, *, request_id: str) -> dict[str, Any]:
    """Return the body of an error.

    Args:
        status: As ``status_of`` gives it.
        message: What went wrong.
        request_id: Id of the request.
    """
    kind = _KINDS.get(status, "invalid_request_error" if 400 <= status < 500 else "api_error")
    detail = MessagesErrorDetail(type=kind, message=message)
    return MessagesErrorBody(error=detail, request_id=request_id).model_dump()


def anthropic_error(
    error: MemrouterError, *, request_id: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the answer for an error: the headers of OpenAI's form, with Anthropic's status and body."""
    plain = error_response(error, request_id=request_id, headers=headers)
    kept = {name: value for name, value in plain.headers.items() if name not in ("content-length", "content-type")}
    status, message = status_of(plain.status_code), error_body(error, request_id=request_id)["error"]["message"]
    body = error_object(status, message, request_id=request_id)
    return JSONResponse(body, status, headers={**kept, REQUEST_ID_HEADER: request_id})
