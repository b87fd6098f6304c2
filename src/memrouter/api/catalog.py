"""Models, health, readiness and metrics: what needs no conversation."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from memrouter.api.caller import Access
from memrouter.api.errors import CALLER_ERRORS, ErrorBody
from memrouter.api.messages.models import VERSION_HEADER, AnthropicModel, AnthropicModels, models_page
from memrouter.api.readiness import Readiness, Status, overall
from memrouter.clock import Clock
from memrouter.errors import UnknownModel
from memrouter.observability.metrics import METRICS_CONTENT_TYPE
from memrouter.transfer.live_migration import LiveMigration, Phase


class ModelCard(BaseModel):
    """A model in OpenAI's form."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """Seconds since the epoch: when this router started."""
    owned_by: str = "memrouter"


class ModelList(BaseModel):
    """All models that a client can name."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class PartReport(BaseModel):
    """One part of the router."""

    status: Status
    detail: str


class MigrationReport(BaseModel):
    """How far the move of all memories to another store is."""

    phase: Phase
    copied: int
    """Memories dealt with in this phase."""
    total: int
    dirty: int
    """Users whose last writes have yet to be compared."""
    failures: int
    last_error: str


class ReadinessReport(BaseModel):
    """Whether the router can serve: ``degraded`` says that it can, but without the parts named so."""

    status: Status
    checks: dict[str, PartReport]
    migration: MigrationReport | None = None
    """Only where memories move to another store."""


def catalog_routes(
    *,
    model_names: Callable[[], Sequence[str]],
    readiness: Readiness,
    exposition: Callable[[], Awaitable[bytes]],
    clock: Clock,
    access: Access,
    migration: LiveMigration | None = None,
) -> APIRouter:
    """Return the routes.

    Args:
        model_names: Gives every name that a client can ask for.
        readiness: Says whether the router can serve.
        exposition: Gives what ``/metrics`` shows.
        clock: Read once, for the models' ``created``.
        access: Says who may see models and metrics.
        migration: The move to another store, which ``/ready`` tells of.
    """
    router = APIRouter()
    created = clock.now_ms() // 1000

    @router.get(
        "/v1/models", tags=["chat"], summary="List models", responses=CALLER_ERRORS, dependencies=access.security()
    )
    async def list_models(request: Request) -> ModelList | AnthropicModels:
        """In OpenAI's form; in Anthropic's, page by page, where the request has the header `anthropic-version`."""
        await access.admit_to_models(request)
        if VERSION_HEADER in request.headers:
            return models_page(model_names(), request.query_params, created=created)
        return ModelList(data=[ModelCard(id=name, created=created) for name in model_names()])

    @router.get(
        "/v1/models/{name:path}",
        tags=["chat"],
        summary="Show a model",
        responses={404: {"model": ErrorBody}, **CALLER_ERRORS},
        dependencies=access.security(),
    )
    async def show_model(request: Request, name: str) -> ModelCard | AnthropicModel:
        """In OpenAI's form; in Anthropic's where the request has the header `anthropic-version`."""
        await access.admit_to_models(request)
        if name not in model_names():
            raise UnknownModel("no such model; GET /v1/models lists them", param="model")
        if VERSION_HEADER in request.headers:
            return AnthropicModel.of(name, created=created)
        return ModelCard(id=name, created=created)

    router.include_router(
        _operation_routes(readiness=readiness, exposition=exposition, access=access, migration=migration)
    )
    return router


def _operation_routes(
    *,
    readiness: Readiness,
    exposition: Callable[[], Awaitable[bytes]],
    access: Access,
    migration: LiveMigration | None,
) -> APIRouter:
    router = APIRouter()

    @router.get("/health", tags=["operation"], summary="Whether the process is alive")
    async def health() -> Health:
        return Health()

    @router.get(
        "/ready",
        tags=["operation"],
        summary="Whether the router can serve",
        response_model=ReadinessReport,
        responses={503: {"model": ReadinessReport, "description": "It cannot serve; the checks say why"}},
    )
    async def ready() -> Response:
        results = await readiness.results()
        report = ReadinessReport(
            status=overall(results),
            checks={name: PartReport(status=result.status, detail=result.detail) for name, result in results.items()},
            migration=None if migration is None else MigrationReport(**asdict(migration.status)),
        )
        body = report.model_dump(mode="json", exclude_none=True)
        return JSONResponse(body, 503 if report.status == "failed" else 200)

    @router.get(
        "/metrics",
        tags=["operation"],
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **(CALLER_ERRORS if access.protects_metrics else {})},
        dependencies=access.security() if access.protects_metrics else [],
    )
    async def show_metrics(request: Request) -> Response:
        await access.admit_to_metrics(request)
        return Response(await exposition(), media_type=METRICS_CONTENT_TYPE)

    return router
