"""The span of a request, from its arrival to the end of what follows its last byte."""

from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memrouter.observability.tracing import Span, Tracer

QUIET_PATHS: Final = frozenset({"/health", "/ready", "/metrics"})
"""Asked by machines all the time; not traced."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TRACE_HEADERS: Final = (b"traceparent", b"tracestate")
_SERVER_ERROR: Final = 500
_NOTED: Final[Mapping[bytes, str]] = {
    b"x-memory-status": "memrouter.memory.status",
    b"x-vsr-selected-decision": "memrouter.decision",
    b"x-vsr-selected-model": "memrouter.model",
}
"""Headers of the router's own answers, by the attributes that they become."""


class TracingMiddleware:
    """ASGI middleware for HTTP requests; messages pass through as they come.

    Neither path nor query, address nor header of the client becomes part of the span: they may name a user.

    Args:
        app: What is wrapped.
        tracer: Makes the spans.
    """

    def __init__(self, app: ASGIApp, *, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"] in QUIET_PATHS:
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        attributes = {"http.request.method": method, "url.scheme": scope.get("scheme", "http")}
        with self._tracer.request(method, _trace_headers(scope), attributes) as span:
            try:
                await self._app(scope, receive, _noting(send, span))
            finally:
                route = getattr(scope.get("route"), "path_format", None)
                if route is not None:
                    span.rename(f"{method} {route}")
                    span.set("http.route", route)


def _noting(send: Send, span: Span) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            _note(message, span)
        await send(message)

    return sent


def _note(message: Message, span: Span) -> None:
    status = message["status"]
    span.set("http.response.status_code", status)
    if status >= _SERVER_ERROR:
        span.fail(str(status))
    for name, value in message.get("headers", ()):
        if attribute := _NOTED.get(name):
            span.set(attribute, value.decode("latin-1"))


def _trace_headers(scope: Scope) -> dict[str, str]:
    """Return the headers that name the caller's trace; of several ``traceparent``, none is believed."""
    headers = [(name, value.decode("latin-1")) for name, value in scope["headers"] if name in _TRACE_HEADERS]
    parents = [value for name, value in headers if name == b"traceparent"]
    if len(parents) != 1:
        return {}
    return {"traceparent": parents[0], "tracestate": ",".join(v for name, v in headers if name == b"tracestate")}
