"""``/mcp``: the MCP server over streamable HTTP, behind the same door as every other route."""

import asyncio
import contextlib
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import INTERNAL_ERROR, INVALID_REQUEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Send
from starlette.types import Scope as Connection

from memrouter.api.body import read_body
from memrouter.api.caller import Access
from memrouter.api.errors import CLIENT_CLOSED_REQUEST, error_body, error_kind, error_response, log_error
from memrouter.api.hangup import ClientGone, Hangup
from memrouter.errors import Forbidden, MemrouterError
from memrouter.mcp.server import Context, open_memory_server
from memrouter.models.memory import Scope
from memrouter.runtime import Runtime

MCP_PATH: Final = "/mcp"

_CALLER: Final = "mcp_caller"
_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class McpEndpoint:
    """Serves MCP without sessions: each request says who is calling and is answered by itself, by any router.

    Args:
        runtime: The router; ends what runs here when it closes.
        access: Says whose memories are meant.
        allow_origins: Web pages that may call, besides those of this machine; ``*`` for all.
        max_body_bytes: Largest body that is read.

    Raises:
        ConfigError: Memory is switched off.
    """

    def __init__(
        self, runtime: Runtime, access: Access, *, allow_origins: tuple[str, ...], max_body_bytes: int
    ) -> None:
        self._access = access
        self._metrics = runtime.metrics
        self._origins = frozenset(allow_origins)
        self._max_body_bytes = max_body_bytes
        self._manager = StreamableHTTPSessionManager(
            open_memory_server(runtime, scope_of=_scope_of),
            json_response=True,
            stateless=True,
            max_request_body_size=max_body_bytes,
        )
        self._running: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._stop = asyncio.Event()
        runtime.on_close(self.aclose)

    async def serve(self, request: Request) -> Response:
        """Return what answers one request; one that is refused is told why in the protocol's form."""
        state = request.scope.setdefault("state", {})
        try:
            self._check_origin(request.headers.get("origin"))
            state[_CALLER] = await self._access.own_scope(request)
            body = await read_body(request, self._max_body_bytes)
        except MemrouterError as error:
            log_error(error)
            self._metrics.error(error_kind(error))
            return _refusal(error, state.get("request_id", ""))
        await self._start()
        return _Answer(self._manager, body)

    async def aclose(self) -> None:
        """End what is being answered."""
        self._stop.set()
        if self._running is not None:
            await asyncio.wait((self._running,))

    def _check_origin(self, origin: str | None) -> None:
        """Refuse pages that a browser shows, so that none reaches a router of its user's network by a name it owns."""
        if origin is None or "*" in self._origins or origin in self._origins:
            return
        with contextlib.suppress(ValueError):
            if urlsplit(origin).hostname in _LOCAL_HOSTS:
                return
        raise Forbidden(
            "web pages of this origin may not call; list it in global.server.cors.allow_origins",
            code="origin_not_allowed",
            param="origin",
        )

    async def _start(self) -> None:
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        await self._ready.wait()

    async def _run(self) -> None:
        """Keep the SDK's task group open: it must be entered and left in one task."""
        async with self._manager.run():
            self._ready.set()
            await self._stop.wait()


class _Answer(Response):
    """Has the SDK answer a request whose body has been read; stops it when the client hangs up."""

    def __init__(self, manager: StreamableHTTPSessionManager, body: bytes) -> None:
        super().__init__()
        self._manager = manager
        self._asked = body

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        hangup = Hangup(receive)
        try:
            await hangup.guard(self._manager.handle_request(scope, self._again, send))
        except ClientGone:
            await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
        finally:
            hangup.release()

    async def _again(self) -> Message:
        return {"type": "http.request", "body": self._asked, "more_body": False}


def _refusal(error: MemrouterError, request_id: str) -> Response:
    """Return an error as a client of the protocol reads it, with the status and headers that it has on any route."""
    plain = error_response(error, request_id=request_id)
    told = error_body(error, request_id=request_id)["error"]
    code = INTERNAL_ERROR if plain.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR else INVALID_REQUEST
    data = {name: told[name] for name in ("type", "code", "param")}
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": told["message"], "data": data}}
    headers = {name: value for name, value in plain.headers.items() if not name.startswith("content-")}
    return JSONResponse(body, plain.status_code, headers=headers)


def mcp_routes(endpoint: McpEndpoint) -> APIRouter:
    """Return the route."""
    router = APIRouter()
    router.add_api_route(MCP_PATH, endpoint.serve, methods=["POST"], include_in_schema=False)
    return router


def _scope_of(ctx: Context) -> Scope:
    request = ctx.request
    scope = None if request is None else request.scope["state"].get(_CALLER)
    if not isinstance(scope, Scope):
        msg = "a request of the protocol came without a caller"
        raise TypeError(msg)
    return scope
