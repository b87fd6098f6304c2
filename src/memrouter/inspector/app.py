"""The inspector as one ASGI application: who is calling, what a form must prove, and errors as pages."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from types import SimpleNamespace
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from memrouter.api.caller import lacks
from memrouter.api.errors import error_body, error_kind, error_status, log_error
from memrouter.errors import NotFound, RateLimited, Unauthenticated
from memrouter.inspector.identification import ROOM, identified, set_session
from memrouter.inspector.security import HEADERS, PRIVATE
from memrouter.inspector.sent_form import read_form
from memrouter.inspector.session import Session
from memrouter.inspector.sign_in import sign_in_pages, sign_in_response
from memrouter.inspector.visit import Desk, Page, Visit

_STATIC: Final = f"{ROOM}/static/"
_HEADINGS: Final = {
    400: "That does not work",
    403: "Not allowed",
    404: "Not found",
    409: "Changed meanwhile",
    413: "Too large",
    429: "Too many requests",
    503: "Not available now",
}


class InspectorApp:
    """Serves every address under ``/ui``.

    Args:
        desk: What all pages share.
        pages: The pages, besides those for signing in.
    """

    def __init__(self, desk: Desk, pages: Sequence[Page]) -> None:
        self._desk = desk
        self._pages = {(page.path, page.method): page for page in (*sign_in_pages(), *pages)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        path, method = request.url.path, "GET" if request.method == "HEAD" else request.method
        if path.startswith(_STATIC) and method == "GET":
            response = await self._static(request, path.removeprefix(_STATIC))
        else:
            response = await self._serve(self._pages.get((path, method)), request)
        await response(scope, receive, send)

    async def _serve(self, page: Page | None, request: Request) -> Response:
        """Return a page, or a page that says why not; unexpected errors are logged in full."""
        request.scope["route"] = SimpleNamespace(path_format=ROOM if page is None else page.path)
        kept = Session.read(request.scope["headers"])
        visit = Visit(self._desk, request, kept or Session.begin(self._desk.runtime.rng))
        try:
            response = await self._missing(visit) if page is None else await self._answer(page, visit)
        except Exception as error:  # noqa: BLE001 - whatever fails becomes a page
            response = await self._failed(visit, error)
        finally:
            if visit.upload is not None:
                await visit.upload.close()
        if kept is None and "set-cookie" not in response.headers:
            set_session(response, visit.session, request)
        for name, value in {**PRIVATE, **HEADERS}.items():
            response.headers.setdefault(name, value)
        return response

    async def _answer(self, page: Page, visit: Visit) -> Response:
        self._desk.door.check_host(visit.request)
        if page.method == "POST":
            self._desk.door.check_origin(visit.request)
        if page.permission is not None:
            visit.identity = await identified(visit)
            if page.permission not in visit.identity.permissions:
                raise lacks(page.permission)
        if page.method == "POST":
            await read_form(visit, page.upload_bytes)
        return await page.handler(visit)

    async def _missing(self, visit: Visit) -> Response:
        methods = sorted(method for path, method in self._pages if path == visit.request.url.path)
        if methods:
            return PlainTextResponse(
                "this address takes another method\n",
                HTTPStatus.METHOD_NOT_ALLOWED,
                headers={"allow": ", ".join(["GET", "HEAD", *methods[1:]] if methods[0] == "GET" else methods)},
            )
        raise NotFound("there is no such page")

    async def _failed(self, visit: Visit, error: Exception) -> Response:
        log_error(error)
        self._desk.runtime.metrics.error(error_kind(error))
        if isinstance(error, Unauthenticated):
            return await sign_in_response(visit, error)
        status = error_status(error)
        request_id = visit.request.scope.get("state", {}).get("request_id", "")
        response = await visit.render(
            "error.html",
            status=status,
            heading=_HEADINGS.get(status, "Something went wrong"),
            message=error_body(error, request_id=request_id)["error"]["message"],
            code=status,
        )
        if isinstance(error, RateLimited):
            response.headers["retry-after"] = str(error.retry_after)
        return response

    async def _static(self, request: Request, name: str) -> Response:
        request.scope["route"] = SimpleNamespace(path_format=f"{_STATIC}{{name}}")
        try:
            response = await asyncio.to_thread(self._desk.static.answer, request, name)
        except NotFound as error:
            response = PlainTextResponse(f"{error}\n", HTTPStatus.NOT_FOUND)
        response.headers.update(HEADERS)
        return response
