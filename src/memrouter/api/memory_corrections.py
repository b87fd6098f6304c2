"""``/v1/memory/{id}/...``: putting a memory right, taking that back, releasing it, and what happened to it."""

from typing import Final

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import Scope as AsgiScope

from memrouter.api.body import describe_body, read_form
from memrouter.api.memory_access import MEMORY_ERRORS, OwnMemories, checked_id, refuse_query
from memrouter.api.memory_forms import Replacement
from memrouter.api.memory_history import HistoryView
from memrouter.api.memory_views import MemoryView

_ONE: Final = "/v1/memory/{memory_id:path}"


class MemoryCorrections:
    """The routes' functions.

    Args:
        own: Whose memories are meant.
        max_body_bytes: Largest body that is read.
    """

    def __init__(self, own: OwnMemories, *, max_body_bytes: int) -> None:
        self._own = own
        self._max_body_bytes = max_body_bytes

    async def supersede(self, request: Request, memory_id: str) -> MemoryView:
        """Puts a new fact in the place of a memory, in one step, and returns the memory that now holds it.

        The old one is no longer found, but kept for `retention.undo_days`. Doing it again changes nothing.
        """
        service, scope = await self._own.open(request)
        form = await read_form(request, Replacement, self._max_body_bytes)
        old = await service.get(scope, checked_id(memory_id))
        return MemoryView.of(await service.corrections.supersede(scope, memory_id, form.draft_for(old)))

    async def undo(self, request: Request, memory_id: str) -> MemoryView:
        """Takes back a replacement, named by either of the two memories, and returns the one that is found again."""
        service, scope = await self._own.open(request)
        return MemoryView.of(await service.corrections.undo(scope, checked_id(memory_id)))

    async def release(self, request: Request, memory_id: str) -> MemoryView:
        """Lets a quarantined memory be found from now on; any other stays as it is."""
        service, scope = await self._own.open(request)
        return MemoryView.of(await service.corrections.release(scope, checked_id(memory_id)))

    async def history(self, request: Request, memory_id: str) -> HistoryView:
        """What happened to a memory, and the memories that it replaced or that replaced it."""
        service, scope = await self._own.open(request)
        entries = await service.corrections.history(scope, checked_id(memory_id))
        return HistoryView.of(memory_id, entries, await service.corrections.chain(scope, memory_id))


class _LastPart(APIRoute):
    """A route whose last part must stand in the path as it was sent: an id may end in the same word, encoded."""

    def matches(self, scope: AsgiScope) -> tuple[Match, AsgiScope]:
        sent = scope.get("raw_path")
        last = self.path.rpartition("/")[2].encode()
        if sent is not None and sent.partition(b"?")[0].rpartition(b"/")[2] != last:
            return Match.NONE, {}
        return super().matches(scope)


def correction_routes(own: OwnMemories, *, max_body_bytes: int) -> APIRouter:
    """Return the routes, which belong before those of single memories; arguments as ``MemoryCorrections``."""
    end = MemoryCorrections(own, max_body_bytes=max_body_bytes)
    router = APIRouter(responses=MEMORY_ERRORS, route_class=_LastPart, dependencies=[Depends(refuse_query)])
    router.add_api_route(
        f"{_ONE}/supersede",
        end.supersede,
        methods=["POST"],
        summary="Replace a memory",
        openapi_extra=describe_body(Replacement),
    )
    router.add_api_route(f"{_ONE}/undo", end.undo, methods=["POST"], summary="Take back a replacement")
    router.add_api_route(f"{_ONE}/release", end.release, methods=["POST"], summary="Release a quarantined memory")
    router.add_api_route(f"{_ONE}/history", end.history, methods=["GET"], summary="Show what happened to a memory")
    return router
