"""``/v1/memory/consolidate``: a user's own memories that say the same become one."""

import asyncio
from typing import Any, Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request

from memrouter.api.body import decode_json, describe_body, read_body
from memrouter.api.caller import Access, memory_off
from memrouter.api.errors import ErrorBody
from memrouter.api.memory_forms import Input
from memrouter.memory.upkeep.report import ConsolidationReport, Merger
from memrouter.memory.upkeep.upkeep import Upkeep
from memrouter.models.history import Actor

_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": ErrorBody, "description": "A field is wrong; `param` names it"},
    401: {"model": ErrorBody, "description": "Nobody is identified, or a credential is not believed"},
    403: {"model": ErrorBody, "description": "The caller may not do this"},
    404: {"model": ErrorBody, "description": "Memory is switched off"},
    429: {"model": ErrorBody, "description": "The caller asks too often; `retry-after` says when to try again"},
    503: {"model": ErrorBody, "description": "The memory store or the embedder cannot serve now"},
    "default": {"model": ErrorBody, "description": "Any other error"},
}


class ConsolidateForm(Input):
    """What to do; an empty body is the same as an empty object."""

    model_config = ConfigDict(strict=True)

    dry_run: bool = False
    """Whether only to say what would be merged."""


class MergerView(BaseModel):
    """Memories that one memory stands for now, or would."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str | None
    """The memory that stands for the others; null where it would have to be made first."""
    sources: list[str]
    """The memories that are no longer found."""
    rule: Literal["merged", "repeated_by_turns"]
    similarity: float | None
    """Lowest ``vector_score`` of any two of them; null where vectors did not matter."""
    by_model: bool
    """Whether a model wrote the text."""

    @classmethod
    def of(cls, merger: Merger) -> "MergerView":
        """Return the view of a merger."""
        return cls.model_validate(
            {
                "id": merger.memory_id,
                "sources": list(merger.sources),
                "rule": merger.rule,
                "similarity": merger.similarity,
                "by_model": merger.by_model,
            }
        )


class Consolidated(BaseModel):
    """What was merged, or would be."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    dry_run: bool
    merged: list[MergerView]
    fewer: int
    """By how many the memories that can be found became fewer, or would."""
    refused: int
    """Groups whose merged text would not pass the screening."""
    outdated: int
    """Groups that were changed meanwhile."""
    finished: bool
    """False where there is more to merge than one call does."""

    @classmethod
    def of(cls, report: ConsolidationReport) -> "Consolidated":
        """Return the view of a report."""
        return cls(
            dry_run=report.dry_run,
            merged=[MergerView.of(merger) for merger in report.mergers],
            fewer=report.fewer,
            refused=report.refused,
            outdated=report.outdated,
            finished=report.finished,
        )


class UpkeepEndpoints:
    """The route's function. One user's memories are consolidated at a time; others wait.

    Args:
        upkeep: None where memory is switched off.
        access: Says whose memories are meant.
        most: Most groups that one call merges.
        max_body_bytes: Largest body that is read.
    """

    def __init__(self, *, upkeep: Upkeep | None, access: Access, most: int, max_body_bytes: int) -> None:
        self._upkeep = upkeep
        self._access = access
        self._most = most
        self._max_body_bytes = max_body_bytes
        self._turn = asyncio.Lock()

    async def consolidate(self, request: Request) -> Consolidated:
        """The caller's memories of this project that say the same become one; undone by an operator."""
        scope = await self._access.own_scope(request)
        if self._upkeep is None:
            raise memory_off()
        body = await read_body(request, self._max_body_bytes)
        form = decode_json(body, ConsolidateForm) if body.strip() else ConsolidateForm()
        async with self._turn:
            report = await self._upkeep.consolidation.run(
                user_id=scope.user_id,
                project_id=scope.project_id,
                most=self._most,
                dry_run=form.dry_run,
                actor=Actor.OWNER,
            )
        return Consolidated.of(report)


def upkeep_routes(*, upkeep: Upkeep | None, access: Access, most: int, max_body_bytes: int) -> APIRouter:
    """Return the route; the arguments are those of ``UpkeepEndpoints``."""
    end = UpkeepEndpoints(upkeep=upkeep, access=access, most=most, max_body_bytes=max_body_bytes)
    router = APIRouter(tags=["memory"], dependencies=access.security(), responses=_ERRORS)
    described = describe_body(ConsolidateForm)
    described["requestBody"]["required"] = False
    router.add_api_route(
        "/v1/memory/consolidate",
        end.consolidate,
        methods=["POST"],
        summary="Merge memories that say the same",
        openapi_extra=described,
    )
    return router
