"""``/v1/memory``: a user's own memories, to look at, add, find, change and delete. Thin over the memory service."""

import asyncio
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.requests import Request

from memrouter.api.body import THREAD_FROM_BYTES, decode_json, describe_body, read_body, read_form
from memrouter.api.caller import Access
from memrouter.api.memory_access import MEMORY_ERRORS, OwnMemories, checked_id, refuse_query
from memrouter.api.memory_conversations import DeleteParams, ListParams, named_conversation
from memrouter.api.memory_corrections import correction_routes
from memrouter.api.memory_forms import MemoryChange, NewMemories, NewMemory, Search
from memrouter.api.memory_search import MemorySearch
from memrouter.api.memory_views import (
    AddedMemories,
    Deleted,
    DeletedMany,
    MemoryPage,
    MemoryView,
    SearchResult,
    Stats,
)
from memrouter.config.memory import MemorySettings
from memrouter.errors import InvalidRequest
from memrouter.memory.service import MemoryService

DEFAULT_PAGE: Final = 20


class _Shape(msgspec.Struct):
    """Tells a list of memories from a single one."""

    memories: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class MemoryEndpoints:
    """The routes' functions.

    Args:
        own: Whose memories are meant.
        settings: Limits.
        search: Finds.
        max_body_bytes: Largest body that is read.
    """

    def __init__(
        self, own: OwnMemories, *, settings: MemorySettings, search: MemorySearch, max_body_bytes: int
    ) -> None:
        self._open = own.open
        self._settings = settings
        self._search = search
        self._max_body_bytes = max_body_bytes

    async def list_page(self, request: Request, params: Annotated[ListParams, Query()]) -> MemoryPage:
        """Newest first. `total` counts all pages; pass `next_cursor` as `cursor` for the next one."""
        service, scope = await self._open(request)
        most = self._settings.limits.list_page
        limit = min(DEFAULT_PAGE, most) if params.limit is None else _at_most(params.limit, most, "limit")
        page = await service.list(
            scope,
            types=params.types,
            limit=limit,
            cursor=params.cursor,
            conversation_id=await named_conversation(service, scope, params),
            include_superseded=params.include_superseded,
            quarantined=params.quarantined,
        )
        return MemoryPage.of(page, limit=limit)

    async def add(self, request: Request) -> AddedMemories:
        """One memory, or several as `{"memories": [...]}`. What is remembered already is returned, not added again.

        `outcomes` tells what became of each. Where nothing may be kept, the answer is an error.
        """
        service, scope = await self._open(request)
        body = await read_body(request, self._max_body_bytes)
        new = _decode_new(body) if len(body) < THREAD_FROM_BYTES else await asyncio.to_thread(_decode_new, body)
        _at_most(len(new), self._settings.limits.add_batch, "memories")
        return AddedMemories.of(await service.offer(scope, [memory.draft() for memory in new]))

    async def show(self, request: Request, memory_id: str) -> MemoryView:
        """Superseded memories are shown too; an expired one is gone."""
        service, scope = await self._open(request)
        return MemoryView.of(await service.get(scope, checked_id(memory_id)))

    async def change(self, request: Request, memory_id: str) -> MemoryView:
        """Changed content gets a new vector."""
        service, scope = await self._open(request)
        form = await read_form(request, MemoryChange, self._max_body_bytes)
        return MemoryView.of(await service.edit(scope, checked_id(memory_id), form.edit()))

    async def delete(self, request: Request, memory_id: str) -> Deleted:
        """Removed for good, from every index."""
        service, scope = await self._open(request)
        await service.forget(scope, checked_id(memory_id))
        return Deleted(message="Memory deleted successfully")

    async def delete_all(self, request: Request, params: Annotated[DeleteParams, Query()]) -> DeletedMany:
        """Removes all of the caller's memories in this project, those of the given types, or of one conversation.

        What a conversation left goes with what was made of it, and turns of it that wait to be stored are dropped.
        """
        service, scope = await self._open(request)
        conversation = await named_conversation(service, scope, params)
        if conversation is not None and params.type:
            raise InvalidRequest("type: a conversation is deleted whole; leave it out", param="type")
        if conversation is not None:
            receipt = await service.erase_conversation(scope, conversation)
        elif params.receipt:
            receipt = await service.erase(scope, params.types)
        else:
            count = await service.forget_all(scope, params.types)
            return DeletedMany(message=f"Deleted {count} memories", deleted=count)
        return DeletedMany.proved(receipt, shown=params.receipt)

    async def search(self, request: Request) -> SearchResult:
        """As the router searches for a chat request, before its reflection filter; does not count as an access."""
        service, scope = await self._open(request)
        form = await read_form(request, Search, self._max_body_bytes)
        return await self._search.run(service, scope, form)

    async def stats(self, request: Request) -> Stats:
        """Counts of what is visible: neither superseded nor expired."""
        service, scope = await self._open(request)
        return Stats.of(await service.stats(scope))


def memory_routes(
    *,
    service: MemoryService | None,
    access: Access,
    settings: MemorySettings,
    search: MemorySearch,
    max_body_bytes: int,
) -> APIRouter:
    """Return the routes.

    Args:
        service: None where memory is switched off.
        access: Says whose memories are meant.
        settings: As for ``MemoryEndpoints``.
        search: As for ``MemoryEndpoints``.
        max_body_bytes: As for ``MemoryEndpoints``.
    """
    own = OwnMemories(service, access)
    end = MemoryEndpoints(own, settings=settings, search=search, max_body_bytes=max_body_bytes)
    router = APIRouter(tags=["memory"], dependencies=access.security(), responses=MEMORY_ERRORS)
    router.include_router(correction_routes(own, max_body_bytes=max_body_bytes))
    bare = [Depends(refuse_query)]
    everything, one = "/v1/memory", "/v1/memory/{memory_id:path}"
    add = router.add_api_route
    add(everything, end.list_page, methods=["GET"], summary="List memories")
    add(
        everything,
        end.delete_all,
        methods=["DELETE"],
        summary="Delete all memories, those of some types, or of a conversation",
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


def _at_most(value: int, most: int, param: str) -> int:
    if value > most:
        raise InvalidRequest(f"{param}: at most {most} are allowed on this server", param=param)
    return value
