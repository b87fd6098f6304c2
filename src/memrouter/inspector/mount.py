"""Puts the inspector under ``/ui`` of a listener. Nothing of it is imported or read before somebody looks at it."""

import asyncio

from fastapi import FastAPI
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from memrouter.api.app import create_app
from memrouter.api.caller import Access
from memrouter.api.identity.advice import is_loopback
from memrouter.config.inspector import InspectorSettings
from memrouter.config.settings import Listener
from memrouter.runtime import Runtime


def create_inspected_app(runtime: Runtime, listener: Listener, *, access: Access) -> FastAPI:
    """Return the application of one listener, as ``create_app``, with the inspector where it is switched on."""
    app = create_app(runtime, listener, access=access)
    if is_switched_on(runtime.settings.global_.inspector, listener):
        runtime.start_timeline()
        app.router.routes.append(InspectorRoute(runtime, listener, access))
    return app


def is_switched_on(settings: InspectorSettings, listener: Listener) -> bool:
    """Return whether a listener has the inspector: as configured, else where only this machine can reach it."""
    return is_loopback(listener.address) if settings.enabled is None else settings.enabled


class InspectorRoute(BaseRoute):
    """Answers ``/ui`` and what is below it; built in a thread at the first request.

    Args:
        runtime: The router.
        listener: What requests come in by.
        access: Says who is calling.
    """

    def __init__(self, runtime: Runtime, listener: Listener, access: Access) -> None:
        self._parts = (runtime, listener, access)
        self._building = asyncio.Lock()
        self._app: ASGIApp | None = None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a request is for the inspector."""
        path = scope["path"] if scope["type"] == "http" else ""
        return (Match.FULL if path == "/ui" or path.startswith("/ui/") else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        async with self._building:
            if self._app is None:
                self._app = await asyncio.to_thread(self._build)
        await self._app(scope, receive, send)

    def _build(self) -> ASGIApp:
        from memrouter.inspector.app import InspectorApp
        from memrouter.inspector.every_page import every_page
        from memrouter.inspector.visit import Desk

        desk = Desk.of(*self._parts)
        return InspectorApp(desk, every_page(desk))
