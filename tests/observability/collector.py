"""A collector of traces over real sockets, and a router that sends to it."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from memrouter.api.app import create_app
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.runtime import Runtime
from memrouter.testing.upstream import ScriptedUpstream


@dataclass(frozen=True)
class Seen:
    """A span as the collector got it."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]
    attributes: Mapping[str, object]
    failed: bool
    begun: int
    ended: int


@dataclass
class Collector:
    """An OTLP/HTTP receiver."""

    endpoint: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    status: int = 200

    async def take(self, request: web.BaseRequest) -> web.Response:
        self.paths.append(request.path)
        self.headers.append(dict(request.headers))
        body = await request.read()
        if self.status == 200:
            self.bodies.append(body)
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, status=self.status, content_type="application/x-protobuf")

    @property
    def requests(self) -> Iterator[ExportTraceServiceRequest]:
        for body in self.bodies:
            yield ExportTraceServiceRequest.FromString(body)

    @property
    def resource(self) -> Mapping[str, object]:
        """Attributes of the resource, the same in all batches."""
        (found,) = {
            tuple(sorted(_values(part.resource.attributes).items()))
            for request in self.requests
            for part in request.resource_spans
        }
        return dict(found)

    @property
    def spans(self) -> list[Seen]:
        """All spans in the order in which they began."""
        found = [
            _seen(span)
            for request in self.requests
            for part in request.resource_spans
            for scope in part.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: span.begun)

    def named(self, name: str) -> Seen:
        """Return the one span of this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found


def _values(attributes: Any) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def _seen(span: Span) -> Seen:
    return Seen(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=tuple(link.span_id.hex() for link in span.links),
        attributes=_values(span.attributes),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        begun=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
    )


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    runner = web.ServerRunner(web.Server(collector.take, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()


@dataclass
class Traced:
    """A router over real sockets."""

    runtime: Runtime
    http: httpx.AsyncClient

    async def chat(self, said: str, *, stream: bool = False, **headers: str) -> httpx.Response:
        """Say something as user ``u``; header names with ``_`` for ``-``."""
        body = {"model": "m", "messages": [{"role": "user", "content": said}], "stream": stream}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post("/v1/chat/completions", json=body, headers={"x-authz-user-id": "u", **named})


@asynccontextmanager
async def traced_router(
    folder: Path, tracing: Mapping[str, Any], *upstreams: ScriptedUpstream, **memory: Any
) -> AsyncIterator[Traced]:
    """Run a router whose spans are all sent by the end; of the upstreams, the first one is preferred."""
    refs = [
        {"name": f"b{number}", "endpoint": upstream.endpoint, "weight": int(not number)}
        for number, upstream in enumerate(upstreams)
    ]
    overrides = {
        "providers": {"models": [{"name": "m", "backend_refs": refs}]},
        "routing": {"decisions": [{"name": "everything", "modelRefs": [{"model": "m"}]}]},
        "global": {
            "services": {"observability": {"tracing": {"enabled": True, **tracing}}},
            "stores": {"memory": {"sqlite": {"path": str(folder / "m.db"), "synchronous": "normal"}, **memory}},
        },
    }
    settings = load_settings(None, env={}, overrides=overrides).settings
    runtime = await Runtime.open(settings, env={}, clock=SystemClock(), rng=random.Random(1))
    app = create_app(runtime, settings.listeners[0])
    bound = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}", timeout=30) as http:
            yield Traced(runtime, http)
    finally:
        server.should_exit = True
        await serving
        await runtime.aclose()
