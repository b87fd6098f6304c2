"""The route that nearly every request takes, past the framework's router."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

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
    """ASGI middleware that answers POST requests of one path itself and passes all others on.

    The framework's own way to an endpoint (several layers, matching, dependencies) takes longer than parsing a request
    and choosing its model together. The route must be in the framework too, which describes it in OpenAPI and answers
    other methods; it has to be the innermost middleware, so that all others see its requests.

    Args:
        app: Everything else.
        path: The whole path, as requests name it.
        endpoint: Answers; what it raises is answered as on every other route.
        metrics: Counts errors.
    """

    def __init__(
        self, app: ASGIApp, *, path: str, endpoint: Callable[[Request], Awaitable[Response]], metrics: Metrics
    ) -> None:
        self._app = app
        self._path = path
        self._endpoint = endpoint
        self._metrics = metrics
        self._route = _Template(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if not self._is_own(scope):
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        try:
            response = await self._endpoint(Request(scope, receive, send))
        except (MemrouterError, ClientDisconnect) as error:
            response = expected_error(scope, error, metrics=self._metrics)
        await response(scope, receive, send)

    def _is_own(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope.get("root_path"):
            return False
        own: bool = scope["path"] == self._path and scope["method"] == METHOD
        return own
