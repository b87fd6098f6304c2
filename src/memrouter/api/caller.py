"""Whose memories a request is about."""

from fastapi.security import APIKeyHeader
from starlette.requests import Request

from memrouter.api.auth import Authenticator
from memrouter.errors import NotFound, Unauthenticated
from memrouter.models.memory import Scope


def identity_scheme(authenticator: Authenticator) -> APIKeyHeader:
    """Return how the API's description says who is calling."""
    return APIKeyHeader(
        name=authenticator.user_header,
        scheme_name="user",
        description="Who is calling; believed from a trusted proxy only.",
        auto_error=False,
    )


def own_scope(request: Request, authenticator: Authenticator) -> Scope:
    """Return the caller's scope.

    Raises:
        Unauthenticated: No trusted party says who is calling.
    """
    scope = authenticator.identify(request.scope["headers"], request.scope.get("client")).scope
    if scope is None:
        header = authenticator.user_header
        raise Unauthenticated(f"nobody is identified; a trusted proxy must send {header}", param=header)
    return scope


def memory_off() -> NotFound:
    """Return the error for a route of memory where memory is switched off."""
    return NotFound(
        "memory is switched off on this server; set global.stores.memory.enabled to true", code="memory_disabled"
    )
