"""Errors of the router in Anthropic's form."""

import json

import pytest

from memrouter.api.messages.errors import anthropic_error
from memrouter.errors import (
    BodyTooLarge,
    Forbidden,
    InvalidRequest,
    MemrouterError,
    Overloaded,
    RateLimited,
    StoreUnavailable,
    Unauthenticated,
    UnknownModel,
    UpstreamTimeout,
    UpstreamUnreachable,
)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidRequest("max_tokens: missing"), 400, "invalid_request_error"),
        (Unauthenticated("who?"), 401, "authentication_error"),
        (Forbidden("no"), 403, "permission_error"),
        (UnknownModel("none"), 404, "not_found_error"),
        (BodyTooLarge("too large"), 413, "request_too_large"),
        (RateLimited("slower", retry_after=7), 429, "rate_limit_error"),
        (UpstreamUnreachable("10.0.0.7"), 502, "api_error"),
        (UpstreamTimeout("10.0.0.7"), 504, "timeout_error"),
        (Overloaded("later"), 529, "overloaded_error"),
        (StoreUnavailable("10.0.0.7"), 529, "overloaded_error"),
    ],
)
def test_an_error_has_anthropics_status_kind_and_body(error: MemrouterError, status: int, kind: str) -> None:
    answer = anthropic_error(error, request_id="req_7", headers={"x-memory-status": "missing"})
    body = json.loads(bytes(answer.body))
    assert answer.status_code == status
    assert (body["type"], body["error"]["type"], body["request_id"]) == ("error", kind, "req_7")
    assert "10.0.0.7" not in body["error"]["message"]
    assert answer.headers["request-id"] == "req_7"
    assert answer.headers["x-memory-status"] == "missing"
    assert int(answer.headers["content-length"]) == len(bytes(answer.body))


def test_a_caller_learns_when_to_try_again() -> None:
    assert anthropic_error(RateLimited("slower", retry_after=7), request_id="r").headers["retry-after"] == "7"
