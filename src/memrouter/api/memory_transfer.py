"""``/v1/memory/export`` and ``/import``: a user's own memories as a file, out and in."""

from collections.abc import AsyncIterable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.requests import Request

from memrouter.api.body import BodyStream
from memrouter.api.caller import Access, memory_off
from memrouter.api.errors import CALLER_ERRORS, ErrorBody
from memrouter.api.memory_forms import Input, Name
from memrouter.config.memory import MemoryLimits
from memrouter.errors import BodyTooLarge, DamagedData, InvalidRequest
from memrouter.models.memory import Scope
from memrouter.stores.query import MergeMode
from memrouter.transfer.format import MEDIA_TYPE
from memrouter.transfer.own import OwnTransfer
from memrouter.transfer.report import ImportReport, Outcomes

_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": ErrorBody, "description": "A query parameter or header is wrong; `param` names it"},
    **CALLER_ERRORS,
    404: {"model": ErrorBody, "description": "Memory is switched off"},
    503: {"model": ErrorBody, "description": "The memory store or the embedder cannot serve now"},
    "default": {"model": ErrorBody, "description": "Any other error"},
}
_LINES: Final[dict[str, Any]] = {"schema": {"type": "string", "description": "One JSON object a line"}}
_EXPORTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {MEDIA_TYPE: _LINES}, "description": "Manifest, memories, trailer; without a trailer, cut off"}
}
_IMPORTED: Final[dict[int | str, dict[str, Any]]] = {
    413: {"model": ErrorBody, "description": "Over `limits.import_bytes`; what came before may have been imported"},
    422: {"model": ErrorBody, "description": "A line is damaged; those before it were imported"},
}


class ExportParams(Input):
    """Query parameters of an export."""

    project_id: Name | None = None
    """Only this project's memories; omitted = those of all projects."""
    vectors: bool = True
    """Whether memories come with their vectors."""


class ImportParams(Input):
    """Query parameters of an import."""

    merge: MergeMode = MergeMode.SKIP
    """Where a memory of the same id is there: ``skip`` keeps it, ``replace`` replaces it, ``newer`` keeps the newer."""
    map_user: bool = False
    """Whether memories that another user exported become the caller's; they are refused otherwise."""


class RefusalView(BaseModel):
    """A memory that was not taken."""

    line: int | None
    reason: str


class ImportResult(BaseModel):
    """What became of the memories; the first six add up to ``read``."""

    added: int
    replaced: int
    kept: int
    """Passed over: the memory of the same id that was there stays."""
    refused: int
    left_out: int
    duplicates: int
    """Passed over: the same text is there under another id."""
    read: int
    reembedded: int
    """How many of them got a new vector from their text."""
    mended: int
    """How many of them were cut, or freed of control characters or secrets."""
    renamed: int
    """How many of them got a new id."""
    quarantined: int
    """How many of them are kept apart: they look like instructions to the model."""
    evicted: int
    """How many memories left, since there were more than ``max_memories_per_user``."""
    refusals: list[RefusalView] = Field(description="The first 20")
    sha256: str
    """As in the trailer."""

    @classmethod
    def of(cls, report: ImportReport) -> "ImportResult":
        """Return the view of a report."""
        return cls.model_validate({**report.outcomes.as_dict(), "sha256": report.sha256})


class MemoryTransferEndpoints:
    """The routes' functions.

    Args:
        transfer: None where memory is switched off.
        access: Says whose memories are meant.
        limits: Bounds of an import.
    """

    def __init__(self, *, transfer: OwnTransfer | None, access: Access, limits: MemoryLimits) -> None:
        self._transfer = transfer
        self._access = access
        self._limits = limits

    async def export(self, request: Request, params: Annotated[ExportParams, Query()]) -> StreamingResponse:
        """All of the caller's memories with every field, superseded and expired ones too, one JSON object a line."""
        transfer, scope = await self._open(request)
        return await exported(transfer, scope.user_id, params)

    async def bring(self, request: Request, params: Annotated[ImportParams, Query()]) -> ImportResult:
        """Takes what an export gave into the caller's own memories; doing it again changes nothing more.

        Nothing from the first damaged line on is imported; the error names the line.
        """
        transfer, scope = await self._open(request)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise InvalidRequest(
                "content-encoding: send the lines as they are", code="invalid_header", param="content-encoding"
            )
        body = BodyStream(request, self._limits.import_bytes)
        try:
            return await imported(transfer, scope.user_id, body, params, max_line_bytes=self._limits.import_line_bytes)
        except (BodyTooLarge, DamagedData):
            await body.drain()
            raise

    async def _open(self, request: Request) -> tuple[OwnTransfer, Scope]:
        scope = await self._access.own_scope(request)
        if self._transfer is None:
            raise memory_off()
        return self._transfer, scope


async def exported(transfer: OwnTransfer, user_id: str, params: ExportParams) -> StreamingResponse:
    """Return a user's memories as a file to download.

    Raises:
        StoreUnavailable: The store cannot serve.
    """
    lines = await transfer.export(user_id, project_id=params.project_id, vectors=params.vectors)
    headers = {"content-disposition": 'attachment; filename="memories.ndjson"', "cache-control": "no-store"}
    return StreamingResponse(lines, media_type=MEDIA_TYPE, headers=headers)


async def imported(
    transfer: OwnTransfer, user_id: str, body: AsyncIterable[bytes], params: ImportParams, *, max_line_bytes: int
) -> ImportResult:
    """Bring exported lines into a user's memories and return what became of them.

    Raises:
        BodyTooLarge: ``body`` raised it; the message says what came before.
        DamagedData: A line is damaged; so does the message.
        MemrouterError: As for ``OwnTransfer.bring``.
    """
    done = Outcomes()
    try:
        report = await transfer.bring(
            user_id,
            body,
            mode=params.merge,
            take_over=params.map_user,
            max_line_bytes=max_line_bytes,
            outcomes=done,
        )
    except BodyTooLarge as error:
        raise BodyTooLarge(f"{error}; {_so_far(done)}", param="body") from None
    if report.damage is not None and report.damaged_line is not None:
        raise DamagedData(report.damaged_line, f"{report.damage}; {_so_far(done)}")
    return ImportResult.of(report)


def memory_transfer_routes(*, transfer: OwnTransfer | None, access: Access, limits: MemoryLimits) -> APIRouter:
    """Return the routes, which belong before those of single memories; arguments as ``MemoryTransferEndpoints``."""
    end = MemoryTransferEndpoints(transfer=transfer, access=access, limits=limits)
    router = APIRouter(tags=["memory"], dependencies=access.security(), responses=_ERRORS)
    router.add_api_route(
        "/v1/memory/export",
        end.export,
        methods=["GET"],
        summary="Export all memories",
        response_class=StreamingResponse,
        responses=_EXPORTED,
    )
    router.add_api_route(
        "/v1/memory/import",
        end.bring,
        methods=["POST"],
        summary="Import memories",
        responses=_IMPORTED,
        openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: _LINES}}},
    )
    return router


def _so_far(done: Outcomes) -> str:
    return (
        f"before it {done.added} memories were added, {done.replaced} replaced, {done.kept} kept and "
        f"{done.refused} refused"
    )
