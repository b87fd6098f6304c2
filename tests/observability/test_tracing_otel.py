"""Spans as OpenTelemetry gets them, without a network."""

import asyncio
import random
import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from memrouter.config.tracing import TracingSettings
from memrouter.errors import MissingExtra, StoreUnavailable
from memrouter.observability.tracing import NOT_TRACED
from memrouter.observability.tracing_metrics import TracedMetrics
from memrouter.observability.tracing_otel import OtelTracer
from memrouter.testing.clock import ManualClock
from memrouter.wiring.tracing import open_tracing

EXPORTER_MODULE = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class Bench:
    """A tracer, what it sent, and its clock."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.exporter = InMemorySpanExporter()
        self.tracer = OtelTracer(self.exporter, resource=Resource({}), sampler=None, clock=self.clock)

    async def spans(self) -> dict[str, ReadableSpan]:
        """End the tracer and return its spans by name."""
        await self.tracer.aclose(20)
        return {span.name: span for span in self.exporter.get_finished_spans()}


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


async def test_a_span_ends_with_its_block_and_has_the_clock_s_times() -> None:
    bench = Bench()
    with bench.tracer.request("GET", {}) as outer:
        bench.clock.ms += 5
        with bench.tracer.span("step", {"memrouter.texts": 2}):
            bench.clock.ms += 7
        outer.rename("GET /v1/memory")
    spans = await bench.spans()
    step, request = spans["step"], spans["GET /v1/memory"]
    assert step.parent is not None
    assert request.context is not None
    assert step.parent.span_id == request.context.span_id
    assert ((step.end_time or 0) - (step.start_time or 0), (request.end_time or 0) - (request.start_time or 0)) == (
        7_000_000,
        12_000_000,
    )
    assert attributes(step) == {"memrouter.texts": 2}
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_an_exception_is_noted_by_its_type_alone() -> None:
    bench = Bench()
    with pytest.raises(StoreUnavailable), bench.tracer.span("step"):
        raise StoreUnavailable("what a user said")
    span = (await bench.spans())["step"]
    assert attributes(span) == {"error.type": "StoreUnavailable"}
    assert span.events == ()
    assert not span.status.is_ok
    assert span.status.description is None


async def test_cancelled_work_is_no_failure() -> None:
    bench = Bench()
    with pytest.raises(asyncio.CancelledError), bench.tracer.span("step"):
        raise asyncio.CancelledError
    assert (await bench.spans())["step"].status.is_unset


async def test_a_lasting_span_outlives_its_block_once() -> None:
    bench = Bench()
    with bench.tracer.span("chat", lasting=True) as span:
        pass
    bench.clock.ms += 3
    span.end()
    bench.clock.ms += 3
    span.end()
    found = (await bench.spans())["chat"]
    assert (found.end_time or 0) - (found.start_time or 0) == 3_000_000


async def test_calls_become_spans_of_the_request_they_belong_to_and_of_no_other() -> None:
    bench = Bench()
    metrics = TracedMetrics(bench.tracer)
    metrics.store_operation(backend="valkey", operation="scan", outcome="ok", seconds=1)
    with bench.tracer.request("POST", {}):
        bench.clock.ms += 10
        metrics.store_operation(backend="valkey", operation="search", outcome="unavailable", seconds=0.004)
        metrics.cache_operation(operation="read", outcome="skipped", seconds=0)
        metrics.cache_operation(operation="write", outcome="failed", seconds=0.05)
        metrics.embedding(model="hash-64", texts=3, outcome="ok", seconds=0.001)
        metrics.reranked(outcome="ok", seconds=0.002)
        metrics.reranked(outcome="skipped", seconds=0)
    spans = await bench.spans()
    assert set(spans) == {"POST", "search valkey", "write hot cache", "embeddings hash-64", "memory rerank"}
    search = spans["search valkey"]
    assert (search.end_time or 0) - (search.start_time or 0) == 4_000_000
    assert attributes(search) == {
        "db.system.name": "valkey",
        "db.operation.name": "search",
        "error.type": "unavailable",
    }
    assert [name for name, span in spans.items() if not span.status.is_unset] == ["search valkey", "write hot cache"]


async def test_a_clock_that_is_set_anew_is_followed_by_the_next_request() -> None:
    class Jumping(ManualClock):
        jump = 0

        def now_ms(self) -> int:
            return super().now_ms() + self.jump

    bench = Bench()
    bench.clock = Jumping()
    bench.tracer = OtelTracer(bench.exporter, resource=Resource({}), sampler=None, clock=bench.clock)
    bench.clock.jump = 60_000
    with bench.tracer.request("GET", {}):
        pass
    assert (await bench.spans())["GET"].start_time == bench.clock.now_ms() * 1_000_000


async def test_later_work_without_an_origin_is_not_traced() -> None:
    bench = Bench()
    with bench.tracer.linked("memory store", bench.tracer.here()):
        pass
    assert await bench.spans() == {}


async def test_an_exporter_that_hangs_does_not_keep_the_router_from_ending(caplog: pytest.LogCaptureFixture) -> None:
    released = threading.Event()

    class Hanging(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            released.wait()
            return SpanExportResult.FAILURE

    bench = Bench()
    tracer = OtelTracer(Hanging(), resource=Resource({}), sampler=None, clock=bench.clock)
    with tracer.span("step"):
        pass
    try:
        await tracer.aclose(0.01)
        await tracer.aclose(0.01)
    finally:
        released.set()
    assert [message for message in caplog.messages if "in time" in message] == [
        "the last traces could not be sent to the collector in time"
    ]


def test_off_means_that_nothing_is_made_or_changed() -> None:
    tracer, metrics = open_tracing(TracingSettings(), clock=ManualClock(), rng=random.Random(1))
    headers = {"traceparent": "the client's own"}
    assert tracer is NOT_TRACED
    assert not isinstance(metrics, TracedMetrics)
    assert tracer.carried(headers) is headers
    assert tracer.here() is None
    assert tracer.span("a") is tracer.linked("b", None) is tracer.request("c", {})


def test_a_router_that_does_not_trace_loads_nothing_of_opentelemetry() -> None:
    program = (
        "import sys, memrouter.cli.serve, memrouter.runtime, memrouter.api.app; "
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_the_extra_the_message_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, EXPORTER_MODULE, None)
    with pytest.raises(MissingExtra, match=r"memrouter\[otel\]"):
        open_tracing(TracingSettings(enabled=True), clock=ManualClock(), rng=random.Random(1))
