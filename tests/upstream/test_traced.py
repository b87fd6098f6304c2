"""A model call is one span, to its last byte, whatever comes of it."""

from collections.abc import AsyncIterator, Sequence

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from memrouter.errors import UpstreamError, UpstreamUnreachable
from memrouter.observability.tracing_otel import OtelTracer
from memrouter.testing.clock import ManualClock
from memrouter.upstream.base import UpstreamReply, UpstreamRequest
from memrouter.upstream.traced import TracedUpstream

REQUEST = UpstreamRequest(model="m", body=b"{}", headers={}, timeout=1)


class Told:
    """Satisfies ``ChatUpstream`` and ``UpstreamReply``: does what a test says, each step a millisecond."""

    def __init__(self, clock: ManualClock, *, status: int = 200, fails: str = "") -> None:
        self.clock = clock
        self.status = status
        self.fails = fails
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        self.backend = "local"
        self.closed = 0

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        self.clock.ms += 1
        if self.fails == "send":
            raise UpstreamUnreachable("no")
        return self

    @property
    def ended(self) -> bool:
        return False

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in (b"one", b"two"):
            self.clock.ms += 1
            yield chunk
        if self.fails == "chunks":
            raise UpstreamError("broke off")

    async def aclose(self) -> None:
        self.closed += 1


async def traced(*, status: int = 200, fails: str = "", read: bool = True) -> tuple[ReadableSpan, Told, list[bytes]]:
    """Make a call; return its span, the upstream, and what was read."""
    exporter, clock = InMemorySpanExporter(), ManualClock()
    tracer = OtelTracer(exporter, resource=Resource({}), sampler=None, clock=clock)
    told, chunks = Told(clock, status=status, fails=fails), []
    upstream = TracedUpstream(told, tracer, purpose="answer")
    try:
        reply = await upstream.send(REQUEST)
        try:
            if read:
                async for chunk in reply.chunks():
                    chunks.append(chunk)  # noqa: PERF401 - what was read before a failure is wanted too
        finally:
            await reply.aclose()
    except UpstreamError:
        pass
    await upstream.aclose()
    await tracer.aclose(20)
    (span,) = exporter.get_finished_spans()
    return span, told, chunks


async def test_the_span_ends_with_the_answer_not_with_its_head() -> None:
    span, told, chunks = await traced()
    assert chunks == [b"one", b"two"]
    assert (span.end_time or 0) - (span.start_time or 0) == 3_000_000
    assert span.name == "chat m"
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "memrouter.purpose": "answer",
        "http.response.status_code": 200,
        "memrouter.backend": "local",
    }
    assert span.status.is_unset
    assert told.closed == 2


@pytest.mark.parametrize(
    ("status", "fails", "kind"),
    [(200, "send", "UpstreamUnreachable"), (200, "chunks", "UpstreamError"), (503, "", "503")],
)
async def test_a_failure_is_noted_by_its_kind(status: int, fails: str, kind: str) -> None:
    span, _, _ = await traced(status=status, fails=fails)
    assert (span.attributes or {})["error.type"] == kind
    assert not span.status.is_ok


async def test_an_answer_that_nobody_reads_ends_its_span_too() -> None:
    span, told, _ = await traced(read=False)
    assert (span.end_time or 0) - (span.start_time or 0) == 1_000_000
    assert told.closed == 2
