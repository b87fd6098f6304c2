"""Puts the routes together for one listener. No module-level app: every call makes a new one."""

import uuid

from fastapi import FastAPI

from memrouter import __version__
from memrouter.api.access import AccessMiddleware
from memrouter.api.auth import Authenticator
from memrouter.api.catalog import catalog_routes
from memrouter.api.chat import ChatEndpoint, chat_routes
from memrouter.api.errors import install
from memrouter.api.memories import memory_routes
from memrouter.api.memory_search import MemorySearch
from memrouter.api.memory_transfer import memory_transfer_routes
from memrouter.api.readiness import Check, Readiness
from memrouter.config.settings import Listener
from memrouter.errors import Overloaded
from memrouter.runtime import Runtime


def create_app(runtime: Runtime, listener: Listener) -> FastAPI:
    """Return the ASGI application of one listener.

    Args:
        runtime: The router; opened and closed by the caller.
        listener: Its timeout holds for this application's upstream calls.
    """
    app = FastAPI(
        title="memrouter",
        version=__version__,
        summary="OpenAI-compatible router with memory of each user's earlier sessions.",
        redoc_url=None,
    )
    install(app, metrics=runtime.metrics)
    app.add_middleware(
        AccessMiddleware, metrics=runtime.metrics, clock=runtime.clock, ids=lambda: f"req_{uuid.uuid4().hex}"
    )
    server = runtime.settings.global_.server
    authenticator = Authenticator(runtime.settings.global_.auth, clock=runtime.clock)
    chat = ChatEndpoint(
        pipeline=runtime.pipeline,
        authenticator=authenticator,
        metrics=runtime.metrics,
        clock=runtime.clock,
        max_body_bytes=server.max_body_bytes,
        max_silence=listener.timeout,
    )
    app.include_router(chat_routes(chat))
    app.include_router(
        memory_transfer_routes(
            transfer=runtime.transfer, authenticator=authenticator, limits=runtime.settings.memory.limits
        )
    )
    app.include_router(
        memory_routes(
            service=runtime.memory,
            authenticator=authenticator,
            settings=runtime.settings.memory,
            search=MemorySearch(
                settings=runtime.settings.memory,
                default_threshold=runtime.default_threshold,
                reflection=runtime.reflection,
                analyzer=runtime.analyzer,
                clock=runtime.clock,
            ),
            max_body_bytes=server.max_body_bytes,
        )
    )
    app.include_router(
        catalog_routes(
            model_names=runtime.catalog.names,
            readiness=Readiness(_checks(runtime), clock=runtime.clock),
            metrics=runtime.metrics,
            clock=runtime.clock,
            migration=runtime.migration,
        )
    )
    return app


def _checks(runtime: Runtime) -> list[Check]:
    async def accepting() -> None:
        if runtime.stopping:
            raise Overloaded("the router is shutting down")

    checks = [
        Check("accepting_requests", accepting),
        Check("memory_store", runtime.check_store, required=False),
        Check("embedder", runtime.check_embedder, required=False),
        Check("upstream", runtime.upstream.check, required=False),
    ]
    if runtime.migration is not None:
        checks.append(Check("memory_migration", runtime.migration.check, required=False))
    return checks
