"""Around every request: its id, its line in the log, its metrics, and the answer when all else failed."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memrouter.api.errors import CLIENT_CLOSED_REQUEST, error_kind, error_response, log_error
from memrouter.clock import Clock
from memrouter.jobs.traffic import Traffic
from memrouter.observability.logs import bind_request_id, release_request_id
from memrouter.observability.metrics import Metrics

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER: Final = b"x-request-id"
MEMORY_STATUS_HEADER: Final = b"x-memory-status"

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class AccessMiddleware:
    """ASGI middleware for HTTP requests; messages pass through as they come.

    The request id is the client's ``x-request-id`` if it has 1 to 128 letters, digits, ``.``, ``_`` or ``-``, else a
    new one. It is in ``scope["state"]["request_id"]``, on every log record and in the reply. After the last byte the
    request is logged and counted by its route's template, without query string or identity. An error that nobody
    else handled is logged, and becomes the answer for an internal error where none has begun; so this belongs inside
    the framework's own error middleware: ``app.add_middleware(AccessMiddleware, ...)``.

    Args:
        app: What is wrapped.
        metrics: Where requests are counted.
        clock: Times them.
        ids: Makes a new request id.
        traffic: Is told of each request, for work that can wait.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        clock: Clock,
        ids: Callable[[], str],
        traffic: Traffic | None = None,
    ) -> None:
        self._app = app
        self._traffic = traffic or Traffic()
        self._metrics = metrics
        self._clock = clock
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _accepted_id(scope) or self._ids()
        scope.setdefault("state", {})["request_id"] = request_id
        token = bind_request_id(request_id)
        exchange = _Exchange(scope, send, self._metrics, self._clock, request_id)
        try:
            with self._traffic.request():
                await self._serve(exchange, receive)
        finally:
            exchange.record()
            release_request_id(token)

    async def _serve(self, exchange: "_Exchange", receive: Receive) -> None:
        try:
            await self._app(exchange.scope, exchange.counting(receive), exchange.send)
        except asyncio.CancelledError:
            exchange.status = exchange.status or CLIENT_CLOSED_REQUEST
            raise
        except Exception as error:
            self._metrics.error(error_kind(error))
            if exchange.status and not exchange.ended:
                raise  # The answer cannot be completed: the server logs this and cuts the connection.
            log_error(error)
            if not exchange.status:
                await error_response(error, request_id=exchange.request_id)(exchange.scope, receive, exchange.send)


class _Exchange:
    """One request and its reply, watched as it is sent."""

    def __init__(self, scope: Scope, send: Send, metrics: Metrics, clock: Clock, request_id: str) -> None:
        self.scope = scope
        self.request_id = request_id
        self.status = 0
        self.ended = False
        self._send = send
        self._metrics = metrics
        self._clock = clock
        self._begun = clock.monotonic()
        self._memory_status = ""
        self._recorded = False

    def counting(self, receive: Receive) -> Receive:
        """Return ``receive`` that charges the body to whoever was admitted; see ``memrouter.api.caller``."""

        async def received() -> Message:
            message = await receive()
            charge = self.scope["state"].get("charge")
            if charge is not None and message["type"] == "http.request":
                charge(len(message.get("body", b"")))
            return message

        return received

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = self._start(message)
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)
        if last:
            self.ended = True
            self.record()

    def _start(self, message: Message) -> Message:
        self.status = message["status"]
        headers = []
        for name, value in message.get("headers", ()):
            if name == MEMORY_STATUS_HEADER:
                self._memory_status = value.decode("latin-1")
            if name.lower() != REQUEST_ID_HEADER:
                headers.append((name, value))
        headers.append((REQUEST_ID_HEADER, self.request_id.encode()))
        return {**message, "headers": headers}

    def record(self) -> None:
        """Log and count the request, once."""
        if self._recorded:
            return
        self._recorded = True
        seconds = self._clock.monotonic() - self._begun
        route = getattr(self.scope.get("route"), "path_format", None)
        status = self.status or 500
        self._metrics.request(route=route, method=self.scope["method"], status=status, seconds=seconds)
        if not logger.isEnabledFor(logging.INFO):
            return
        fields = {
            "method": self.scope["method"],
            "route": route or "other",
            "status": status,
            "ms": round(seconds * 1000, 3),
            "memory_status": self._memory_status or None,
            "complete": self.ended,
        }
        # Not by info(), which looks up who calls: that costs as much as the line itself, and no line tells it.
        logger.handle(logger.makeRecord(logger.name, logging.INFO, __name__, 0, "request", (), None, extra=fields))


def _accepted_id(scope: Scope) -> str | None:
    given = [value for name, value in scope["headers"] if name == REQUEST_ID_HEADER]
    return given[0].decode() if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) else None
