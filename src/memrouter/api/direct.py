"""The route that nearly every request takes, past the framework."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from memrouter.api.errors import expected_error
from memrouter.errors import MemrouterError
from memrouter.observability.metrics import Metrics

METHOD: Final = "POST"


@dataclass(frozen=True, slots=True)
class _Template:
    """What metrics and logs call the route."""

    path_format: str


class DirectRoute:
    """ASGI application that answers POST requests of one path.

    Args:
        path: The whole path, as requests name it.
        endpoint: Answers; what it raises is answered as on every other route.
        metrics: Counts errors.
    """

    def __init__(self, *, path: str, endpoint: Callable[[Request], Awaitable[Response]], metrics: Metrics) -> None:
        self._path = path
        self._endpoint = endpoint
        self._metrics = metrics
        self._route = _Template(path)

    def takes(self, scope: Scope) -> bool:
        """Return whether a connection brings such a request."""
        if scope["type"] != "http" or scope.get("root_path"):
            return False
        own: bool = scope["path"] == self._path and scope["method"] == METHOD
        return own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request that is taken."""
        scope["route"] = self._route
        try:
            response = await self._endpoint(Request(scope, receive, send))
        except (MemrouterError, ClientDisconnect) as error:
            response = expected_error(scope, error, metrics=self._metrics)
        await response(scope, receive, send)


class DirectApp(FastAPI):
    """The framework's application, with one route that requests take without it.

    The framework's own way to an endpoint (several layers, matching, dependencies) takes longer than parsing a request
    and choosing its model together. The route must be in the framework too, which describes it in OpenAPI and answers
    other methods.

    Args:
        direct: Answers the requests that it takes.
        **options: The framework's.
    """

    def __init__(self, *, direct: DirectRoute | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._direct = direct
        self._surrounded: ASGIApp | None = direct

    def surround(self, middleware: Middleware) -> None:
        """Put a middleware around everything, the direct route included."""
        self.add_middleware(middleware.cls, *middleware.args, **middleware.kwargs)
        if self._surrounded is not None:
            self._surrounded = middleware.cls(self._surrounded, *middleware.args, **middleware.kwargs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if self._direct is not None and self._surrounded is not None and self._direct.takes(scope):
            await self._surrounded(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
