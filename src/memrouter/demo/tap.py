"""A wire tap between the router and the model server: records what the model receives, passes everything on."""

import json
from typing import Any

import aiohttp
from aiohttp import web


class Tap:
    """Forwards every request to one server and keeps the bodies.

    Args:
        target: Base URL of the model server, without a path.

    Attributes:
        bodies: Decoded request bodies, oldest first.
    """

    def __init__(self, target: str) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._target = target
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.address = ""

    async def start(self) -> None:
        """Listen on a free loopback port; ``address`` is then its ``host:port``."""
        self._session = aiohttp.ClientSession()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.address = f"{host}:{port}"

    async def aclose(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if body:
            self.bodies.append(json.loads(body))
        assert self._session is not None, "the tap has been started"  # noqa: S101 - states a fact for the type checker
        headers = {name: request.headers[name] for name in ("content-type", "authorization") if name in request.headers}
        async with self._session.request(
            request.method, self._target + request.rel_url.path_qs, data=body, headers=headers
        ) as answer:
            relay = web.StreamResponse(status=answer.status, headers={"content-type": answer.content_type})
            await relay.prepare(request)
            async for chunk in answer.content.iter_any():
                await relay.write(chunk)
            await relay.write_eof()
            return relay
