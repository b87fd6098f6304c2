"""Puts the routes together for one listener. No module-level app: every call makes a new one."""

import logging
import secrets
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from memrouter import __version__
from memrouter.api.access import AccessMiddleware
from memrouter.api.caller import Access
from memrouter.api.catalog import catalog_routes
from memrouter.api.chat import CHAT_PATH, ChatEndpoint, chat_routes
from memrouter.api.direct import DirectApp, DirectRoute
from memrouter.api.errors import install
from memrouter.api.exchange import ChatExchange
from memrouter.api.identity.advice import identity_advice
from memrouter.api.identity.factory import open_authenticator
from memrouter.api.limits import CallerLimits
from memrouter.api.memories import memory_routes
from memrouter.api.memory_search import MemorySearch
from memrouter.api.memory_transfer import memory_transfer_routes
from memrouter.api.messages.endpoint import MessagesEndpoint, messages_routes
from memrouter.api.readiness import Check, Readiness
from memrouter.api.responses.chains import ResponseChains
from memrouter.api.responses.endpoint import ResponsesEndpoint, responses_routes
from memrouter.api.tracing import TracingMiddleware
from memrouter.api.upkeep import upkeep_routes
from memrouter.config.limits import CorsSettings
from memrouter.config.settings import Listener
from memrouter.errors import MissingExtra, Overloaded
from memrouter.runtime import Runtime

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig  # of later versions; earlier ones take the option and ignore it

logger = logging.getLogger(__name__)

EXPOSED_HEADERS: Final = (
    "request-id",
    "retry-after",
    "x-memory-count",
    "x-memory-latency-ms",
    "x-memory-status",
    "x-request-id",
    "x-router-overhead-ms",
    "x-vsr-selected-decision",
    "x-vsr-selected-model",
)
"""Headers of answers that a web page of an allowed origin may read."""


_ID_BYTES: Final = 16
_NO_TELEMETRY: Final["TelemetryConfig"] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""The framework's own would tell paths and queries, which may name a user."""


def open_access(runtime: Runtime, *, shared_limits: memoryview | None = None) -> Access:
    """Return what decides who may come in; closed with the runtime.

    Args:
        runtime: The router.
        shared_limits: Where callers are counted together with other processes; see ``CallerLimits``.

    Raises:
        ConfigError: Keys cannot be had as configured.
    """
    settings = runtime.settings.global_
    access = Access(
        open_authenticator(settings.auth, state=runtime.state, clock=runtime.clock),
        settings=settings.auth,
        limits=CallerLimits(settings.limits, metrics=runtime.metrics, clock=runtime.clock, shared=shared_limits),
    )
    runtime.on_close(access.aclose)
    return access


def create_app(runtime: Runtime, listener: Listener, *, access: Access | None = None) -> FastAPI:
    """Return the ASGI application of one listener; what its operator should know about identity is logged.

    Args:
        runtime: The router; opened and closed by the caller.
        listener: Its timeout holds for this application's upstream calls.
        access: Decides who may come in; listeners of one process share it. None for one of its own.

    Raises:
        ConfigError: Keys cannot be had as configured.
    """
    access = access or open_access(runtime)
    server = runtime.settings.global_.server
    exchange = ChatExchange(
        pipeline=runtime.pipeline, metrics=runtime.metrics, clock=runtime.clock, max_silence=listener.timeout
    )
    chat = ChatEndpoint(exchange=exchange, access=access, max_body_bytes=server.max_body_bytes)
    app = _bare_app(runtime, listener, DirectRoute(path=CHAT_PATH, endpoint=chat, metrics=runtime.metrics))
    _surround(app, runtime)
    app.include_router(chat_routes(chat, access))
    app.include_router(responses_routes(_responses(runtime, exchange, access), access))
    messages = MessagesEndpoint(
        exchange=exchange,
        access=access,
        tokens=runtime.tokens,
        rng=runtime.rng,
        max_body_bytes=server.max_body_bytes,
    )
    app.include_router(messages_routes(messages, access))
    app.include_router(
        memory_transfer_routes(transfer=runtime.transfer, access=access, limits=runtime.settings.memory.limits)
    )
    app.include_router(
        upkeep_routes(
            upkeep=runtime.upkeep,
            access=access,
            most=runtime.settings.memory.consolidation.max_groups,
            max_body_bytes=server.max_body_bytes,
        )
    )
    app.include_router(_memories(runtime, access))
    if runtime.settings.global_.mcp.enabled:
        app.include_router(_mcp(runtime, access))
    app.include_router(_catalog(runtime, access, readiness_checks(runtime, access)))
    return app


def create_mcp_app(runtime: Runtime, listener: Listener, *, access: Access) -> FastAPI:
    """Return the ASGI application of a listener that serves MCP and no models.

    Args:
        runtime: As for ``create_app``.
        listener: What its operator should know about identity is logged.
        access: As for ``create_app``.

    Raises:
        ConfigError: Memory is switched off.
        MissingExtra: The SDK is not installed.
    """
    app = _bare_app(runtime, listener)
    _surround(app, runtime)
    app.include_router(_mcp(runtime, access))
    checks = [check for check in readiness_checks(runtime, access) if check.name != "upstream"]
    app.include_router(_catalog(runtime, access, checks))
    return app


def _bare_app(runtime: Runtime, listener: Listener, direct: DirectRoute | None = None) -> DirectApp:
    """Return an application without routes; what its operator should know about identity is logged."""
    for advice in identity_advice(runtime.settings, listener):
        logger.warning("%s", advice)
    app = DirectApp(
        direct=direct,
        title="memrouter",
        version=__version__,
        summary="OpenAI-compatible router with memory of each user's earlier sessions.",
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
    )
    install(app, metrics=runtime.metrics)
    return app


def _surround(app: DirectApp, runtime: Runtime) -> None:
    """Put around ``app`` what concerns every request; nothing may be put around it afterwards."""
    _allow_origins(app, runtime.settings.global_.server.cors)
    app.surround(
        Middleware(
            AccessMiddleware,
            metrics=runtime.metrics,
            clock=runtime.clock,
            ids=lambda: f"req_{secrets.token_hex(_ID_BYTES)}",
            traffic=runtime.traffic,
        )
    )
    if runtime.tracer.on:
        app.surround(Middleware(TracingMiddleware, tracer=runtime.tracer))


def _catalog(runtime: Runtime, access: Access, checks: list[Check]) -> APIRouter:
    return catalog_routes(
        model_names=runtime.catalog.names,
        readiness=Readiness(checks, clock=runtime.clock),
        exposition=runtime.exposition,
        clock=runtime.clock,
        access=access,
        migration=runtime.migration,
    )


def _responses(runtime: Runtime, exchange: ChatExchange, access: Access) -> ResponsesEndpoint:
    settings, state = runtime.settings.global_.services.response_api, runtime.state
    chains = None
    if settings.enabled and state is not None:
        chains = ResponseChains(
            state,
            clock=runtime.clock,
            ttl_seconds=settings.ttl_seconds,
            max_response_bytes=settings.max_response_bytes,
            max_chain_bytes=settings.max_chain_bytes,
        )
    return ResponsesEndpoint(
        exchange=exchange,
        access=access,
        chains=chains,
        rng=runtime.rng,
        max_body_bytes=runtime.settings.global_.server.max_body_bytes,
    )


def memory_search(runtime: Runtime) -> MemorySearch:
    """Return what searches and explains for this router, whoever asks."""
    return MemorySearch(
        settings=runtime.settings.memory,
        default_threshold=runtime.default_threshold,
        reflection=runtime.reflection,
        analyzer=runtime.analyzer,
        clock=runtime.clock,
    )


def _memories(runtime: Runtime, access: Access) -> APIRouter:
    return memory_routes(
        service=runtime.memory,
        access=access,
        settings=runtime.settings.memory,
        search=memory_search(runtime),
        max_body_bytes=runtime.settings.global_.server.max_body_bytes,
    )


def _mcp(runtime: Runtime, access: Access) -> APIRouter:
    try:
        from memrouter.api.mcp import McpEndpoint, mcp_routes
    except ImportError:
        raise MissingExtra("global.mcp.enabled", "mcp") from None
    server = runtime.settings.global_.server
    endpoint = McpEndpoint(
        runtime, access, allow_origins=server.cors.allow_origins, max_body_bytes=server.max_body_bytes
    )
    return mcp_routes(endpoint)


def _allow_origins(app: DirectApp, cors: CorsSettings) -> None:
    if cors.allow_origins:
        app.surround(
            Middleware(
                CORSMiddleware,
                allow_origins=cors.allow_origins,
                allow_methods=["GET", "POST", "PATCH", "DELETE"],
                allow_headers=["*"],
                expose_headers=EXPOSED_HEADERS,
            )
        )


def readiness_checks(runtime: Runtime, access: Access) -> list[Check]:
    """Return the checks of everything that a router which serves models needs."""

    async def accepting() -> None:
        if runtime.stopping:
            raise Overloaded("the router is shutting down")

    checks = [
        Check("accepting_requests", accepting),
        Check("identity", access.check, required=False),
        Check("memory_store", runtime.check_store, required=False),
        Check("embedder", runtime.check_embedder, required=False),
        Check("upstream", runtime.upstream.check, required=False),
    ]
    if runtime.migration is not None:
        checks.append(Check("memory_migration", runtime.migration.check, required=False))
    return checks
