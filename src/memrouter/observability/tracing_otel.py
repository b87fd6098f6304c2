"""Traces by OpenTelemetry; imported only where they are switched on."""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import Token
from types import TracebackType
from typing import Final, Self

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from memrouter.clock import Clock
from memrouter.observability.logs import bind_trace, release_trace
from memrouter.observability.tracing import NOT_TRACED, Attributes, AttributeValue, Origin, Span
from memrouter.observability.tracing_sampling import FollowLinks

logger = logging.getLogger(__name__)

LIBRARY: Final = "memrouter"
DRIFT_NS: Final = 50_000_000
"""How far the spans' own clock may be from the time of day."""


class OtelTracer:
    """Satisfies ``Tracer``. Spans wait in a bounded queue and are sent by a thread of their own.

    Args:
        exporter: Sends them; closed with this.
        resource: What they say about this router.
        sampler: Which requests are traced; None leaves it to ``OTEL_TRACES_SAMPLER``.
        clock: Tells the time.

    Attributes:
        on: True.
    """

    on: Final = True

    def __init__(self, exporter: SpanExporter, *, resource: Resource, sampler: Sampler | None, clock: Clock) -> None:
        self._exporter = _Exporter(exporter)
        self._processor = _Processor(self._exporter)
        provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        provider.sampler = FollowLinks(provider.sampler)
        provider.add_span_processor(self._processor)
        self._provider = provider
        self._tracer = provider.get_tracer(LIBRARY)
        self._propagator = TraceContextTextMapPropagator()
        self._time = _Timeline(clock)
        self._closed = False

    @property
    def recorded(self) -> int:
        """Return how many spans were to be sent."""
        return self._processor.recorded

    @property
    def exported(self) -> int:
        """Return how many spans the collector has taken."""
        return self._exporter.taken

    def span(
        self, name: str, attributes: Attributes | None = None, *, client: bool = False, lasting: bool = False
    ) -> Span:
        """See ``Tracer.span``."""
        kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
        return _OtelSpan(self._begin(name, kind, attributes), self._time, lasting=lasting)

    def request(self, name: str, headers: Mapping[str, str], attributes: Attributes | None = None) -> Span:
        """See ``Tracer.request``."""
        self._time.set()
        parent = self._propagator.extract(headers, context=Context())
        return _OtelSpan(self._begin(name, SpanKind.SERVER, attributes, parent), self._time, logged=True)

    def linked(self, name: str, origin: Origin | None) -> Span:
        """See ``Tracer.linked``."""
        if not isinstance(origin, SpanContext):
            return NOT_TRACED.span(name)
        span = self._begin(name, SpanKind.INTERNAL, None, Context(), (Link(origin),))
        return _OtelSpan(span, self._time, logged=True)

    def record(
        self, name: str, *, seconds: float, attributes: Attributes, client: bool = False, failure: str = ""
    ) -> None:
        """See ``Tracer.record``."""
        if not trace.get_current_span().is_recording():
            return
        end = self._time.now()
        span = self._tracer.start_span(
            name,
            kind=SpanKind.CLIENT if client else SpanKind.INTERNAL,
            attributes=attributes,
            start_time=end - round(seconds * 1e6) * 1000,
        )
        if failure:
            _fail(span, failure)
        span.end(end)

    def here(self) -> Origin | None:
        """See ``Tracer.here``."""
        context = trace.get_current_span().get_span_context()
        return context if context.is_valid else None

    def carried(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """See ``Tracer.carried``; the client's own ``traceparent`` and ``tracestate`` are replaced."""
        own = {name: value for name, value in headers.items() if name not in ("traceparent", "tracestate")}
        self._propagator.inject(own)
        return own

    async def aclose(self, seconds: float) -> None:
        """See ``Tracer.aclose``."""
        if self._closed:
            return
        self._closed = True
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def flush() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop did not wait
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=flush, name="trace-flush", daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                await done.wait()
        except TimeoutError:
            logger.warning("the last traces could not be sent to the collector in time")

    def _begin(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes | None,
        context: Context | None = None,
        links: Sequence[Link] = (),
    ) -> trace.Span:
        return self._tracer.start_span(
            name, context, kind, attributes, links, start_time=self._time.now(), record_exception=False
        )


class _OtelSpan:
    """Satisfies ``Span``."""

    __slots__ = ("_lasting", "_log_token", "_logged", "_span", "_time", "_token")

    def __init__(self, span: trace.Span, time: "_Timeline", *, lasting: bool = False, logged: bool = False) -> None:
        self._span = span
        self._time = time
        self._lasting = lasting
        self._logged = logged
        self._token: Token[Context] | None = None
        self._log_token: Token[tuple[str, str] | None] | None = None

    def __enter__(self) -> Self:
        self._token = attach(trace.set_span_in_context(self._span))
        if self._logged:
            context = self._span.get_span_context()
            self._log_token = bind_trace(trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        if self._log_token is not None:
            release_trace(self._log_token)
        if self._token is not None:
            detach(self._token)
        if kind is asyncio.CancelledError:
            self._span.set_attribute("error.type", kind.__name__)
        elif kind is not None:
            self.fail(kind.__name__)
        if kind is not None or not self._lasting:
            self.end()

    def set(self, name: str, value: AttributeValue) -> None:
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self, kind: str) -> None:
        _fail(self._span, kind)

    def end(self) -> None:
        if self._span.is_recording():
            self._span.end(self._time.now())


def _fail(span: trace.Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


class _Timeline:
    """Nanoseconds since the epoch, to a microsecond, that never go back while a request is served."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = self._measured()

    def now(self) -> int:
        """Return the time."""
        return self._offset + round(self._clock.monotonic() * 1e6) * 1000

    def set(self) -> None:
        """Follow the time of day, where that was set anew."""
        measured = self._measured()
        if abs(measured - self._offset) > DRIFT_NS:
            self._offset = measured

    def _measured(self) -> int:
        return self._clock.now_ms() * 1_000_000 - round(self._clock.monotonic() * 1e6) * 1000


class _Processor(BatchSpanProcessor):
    """Counts what is to be sent."""

    recorded = 0

    def on_end(self, span: ReadableSpan) -> None:
        self.recorded += 1
        super().on_end(span)


class _Exporter(SpanExporter):
    """Counts what is sent, and says once that it cannot be."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._failing = False
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.taken += len(spans)
            if self._failing:
                logger.info("the collector takes traces again")
        elif not self._failing:
            logger.warning("the collector does not take traces: they are lost until it does; requests go on")
        self._failing = result is not SpanExportResult.SUCCESS
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)
