"""``/v1/memory``: a user's own memories, to look at, add, find, change and delete. Thin over the memory service."""

import asyncio
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Security
from starlette.requests import Request

from memrouter.api.auth import Authenticator
from memrouter.api.body import THREAD_FROM_BYTES, decode_json, describe_body, read_body, read_form
from memrouter.api.caller import identity_scheme, memory_off, own_scope
from memrouter.api.errors import ErrorBody
from memrouter.api.memory_forms import DeleteParams, ListParams, MemoryChange, NewMemories, NewMemory, Search
from memrouter.api.memory_search import MemorySearch
from memrouter.api.memory_views import (
    AddedMemories,
    Deleted,
    DeletedMany,
    MemoryPage,
    MemoryView,
    ReceiptView,
    SearchResult,
    Stats,
)
from memrouter.config.memory import MemorySettings
from memrouter.errors import InvalidRequest
from memrouter.memory.service import MemoryService
from memrouter.models.memory import MAX_ID_CHARS, Scope

DEFAULT_PAGE: Final = 20

_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": ErrorBody, "description": "A field is wrong; `param` names it"},
    401: {"model": ErrorBody, "description": "Nobody is identified"},
    404: {"model": ErrorBody, "description": "Absent, someone else's, or memory is switched off"},
    503: {"model": ErrorBody, "description": "The memory store or the embedder cannot serve now"},
    "default": {"model": ErrorBody, "description": "Any other error"},
}


class _Shape(msgspec.Struct):
    """Tells a list of memories from a single one."""

    memories: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class MemoryEndpoints:
    """The routes' functions.

    Args:
        service: None where memory is switched off.
        authenticator: Says whose memories are meant.
        settings: Limits.
        search: Finds.
        max_body_bytes: Largest body that is read.
    """

    def __init__(
        self,
        *,
        service: MemoryService | None,
        authenticator: Authenticator,
        settings: MemorySettings,
        search: MemorySearch,
        max_body_bytes: int,
    ) -> None:
        self._service = service
        self._authenticator = authenticator
        self._settings = settings
        self._search = search
        self._max_body_bytes = max_body_bytes

    async def list_page(self, request: Request, params: Annotated[ListParams, Query()]) -> MemoryPage:
        """Newest first. `total` counts all pages; pass `next_cursor` as `cursor` for the next one."""
        service, scope = self._open(request)
        most = self._settings.limits.list_page
        limit = min(DEFAULT_PAGE, most) if params.limit is None else _at_most(params.limit, most, "limit")
        page = await service.list(
            scope,
            types=params.types,
            limit=limit,
            cursor=params.cursor,
            include_superseded=params.include_superseded,
        )
        return MemoryPage(
            memories=[MemoryView.of(record) for record in page.records],
            total=page.total,
            limit=limit,
            next_cursor=page.next.encode() if page.next else None,
        )

    async def add(self, request: Request) -> AddedMemories:
        """One memory, or several as `{"memories": [...]}`. What is remembered already is returned, not added again."""
        service, scope = self._open(request)
        body = await read_body(request, self._max_body_bytes)
        new = _decode_new(body) if len(body) < THREAD_FROM_BYTES else await asyncio.to_thread(_decode_new, body)
        _at_most(len(new), self._settings.limits.add_batch, "memories")
        records = await service.remember(scope, [memory.draft() for memory in new])
        return AddedMemories(memories=[MemoryView.of(record) for record in records])

    async def show(self, request: Request, memory_id: str) -> MemoryView:
        """Superseded memories are shown too; an expired one is gone."""
        service, scope = self._open(request)
        return MemoryView.of(await service.get(scope, _checked_id(memory_id)))

    async def change(self, request: Request, memory_id: str) -> MemoryView:
        """Changed content gets a new vector."""
        service, scope = self._open(request)
        form = await read_form(request, MemoryChange, self._max_body_bytes)
        return MemoryView.of(await service.edit(scope, _checked_id(memory_id), form.edit()))

    async def delete(self, request: Request, memory_id: str) -> Deleted:
        """Removed for good, from every index."""
        service, scope = self._open(request)
        await service.forget(scope, _checked_id(memory_id))
        return Deleted(message="Memory deleted successfully")

    async def delete_all(self, request: Request, params: Annotated[DeleteParams, Query()]) -> DeletedMany:
        """Removes all of the caller's memories in this project, or those of the given types."""
        service, scope = self._open(request)
        if not params.receipt:
            count = await service.forget_all(scope, params.types)
            return DeletedMany(message=f"Deleted {count} memories", deleted=count)
        receipt = await service.erase(scope, params.types)
        return DeletedMany(
            message=f"Deleted {receipt.count} memories", deleted=receipt.count, receipt=ReceiptView.of(receipt)
        )

    async def search(self, request: Request) -> SearchResult:
        """As the router searches for a chat request, before its reflection filter; does not count as an access."""
        service, scope = self._open(request)
        form = await read_form(request, Search, self._max_body_bytes)
        return await self._search.run(service, scope, form)

    async def stats(self, request: Request) -> Stats:
        """Counts of what is visible: neither superseded nor expired."""
        service, scope = self._open(request)
        return Stats.of(await service.stats(scope))

    def _open(self, request: Request) -> tuple[MemoryService, Scope]:
        """Return the service and whose memories are meant.

        Raises:
            Unauthenticated: No trusted party says who is calling.
            NotFound: Memory is switched off.
        """
        scope = own_scope(request, self._authenticator)
        if self._service is None:
            raise memory_off()
        return self._service, scope


def memory_routes(
    *,
    service: MemoryService | None,
    authenticator: Authenticator,
    settings: MemorySettings,
    search: MemorySearch,
    max_body_bytes: int,
) -> APIRouter:
    """Return the routes; the arguments are those of ``MemoryEndpoints``."""
    end = MemoryEndpoints(
        service=service,
        authenticator=authenticator,
        settings=settings,
        search=search,
        max_body_bytes=max_body_bytes,
    )
    identity = Security(identity_scheme(authenticator))
    router = APIRouter(tags=["memory"], dependencies=[identity], responses=_ERRORS)
    bare = [Depends(_refuse_query)]
    everything, one = "/v1/memory", "/v1/memory/{memory_id:path}"
    add = router.add_api_route
    add(everything, end.list_page, methods=["GET"], summary="List memories")
    add(
        everything,
        end.delete_all,
        methods=["DELETE"],
        summary="Delete all memories, or those of some types",
        response_model_exclude_none=True,
    )
    add(
        everything,
        end.add,
        methods=["POST"],
        status_code=201,
        summary="Add one memory or many",
        dependencies=bare,
        openapi_extra=describe_body(NewMemory, NewMemories),
    )
    add(
        "/v1/memory/search",
        end.search,
        methods=["POST"],
        summary="Search memories",
        dependencies=bare,
        openapi_extra=describe_body(Search),
    )
    add("/v1/memory/stats", end.stats, methods=["GET"], summary="Count memories", dependencies=bare)
    add(one, end.show, methods=["GET"], summary="Show a memory", dependencies=bare)
    add(one, end.delete, methods=["DELETE"], summary="Delete a memory", dependencies=bare)
    add(
        one,
        end.change,
        methods=["PATCH"],
        summary="Change a memory",
        dependencies=bare,
        openapi_extra=describe_body(MemoryChange),
    )
    return router


def _decode_new(body: bytes) -> list[NewMemory]:
    try:
        many = msgspec.json.decode(body, type=_Shape).memories is not msgspec.UNSET
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        many = False  # Not an object: the form says what is wrong.
    return decode_json(body, NewMemories).memories if many else [decode_json(body, NewMemory)]


async def _refuse_query(request: Request) -> None:
    """Refuse query parameters on a route that has none; somebody may expect ``user_id`` to mean something."""
    for name in request.query_params:
        param = name[:MAX_ID_CHARS]
        raise InvalidRequest(f"{param}: unknown query parameter; remove it", code="unknown_field", param=param)


def _checked_id(memory_id: str) -> str:
    if len(memory_id) > MAX_ID_CHARS:
        raise InvalidRequest(f"a memory id has at most {MAX_ID_CHARS} characters", param="id")
    return memory_id


def _at_most(value: int, most: int, param: str) -> int:
    if value > most:
        raise InvalidRequest(f"{param}: at most {most} are allowed on this server", param=param)
    return value
