"""The tracer, as configured."""

import uuid
from random import Random
from typing import TYPE_CHECKING

from memrouter import __version__
from memrouter.clock import Clock
from memrouter.config.tracing import TracingResourceSettings, TracingSamplingSettings, TracingSettings
from memrouter.errors import MissingExtra
from memrouter.observability.metrics import Metrics
from memrouter.observability.tracing import NOT_TRACED, Tracer
from memrouter.observability.tracing_metrics import TracedMetrics

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.sampling import Sampler


def open_tracing(settings: TracingSettings, *, clock: Clock, rng: Random) -> tuple[Tracer, Metrics]:
    """Return what traces, and the metrics of the same router; nothing of OpenTelemetry is loaded where it is off.

    The variables ``OTEL_*`` of the process hold where the settings say nothing; OpenTelemetry reads them itself.

    Raises:
        MissingExtra: The SDK is not installed.
    """
    if not settings.enabled:
        return NOT_TRACED, Metrics()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        from memrouter.observability.tracing_otel import OtelTracer
    except ImportError:
        raise MissingExtra("global.services.observability.tracing.enabled", "otel") from None
    exporter = settings.exporter
    tracer = OtelTracer(
        OTLPSpanExporter(
            endpoint=exporter.url or None, headers=dict(exporter.header_pairs) or None, timeout=exporter.timeout
        ),
        resource=_resource(settings.resource, instance=str(uuid.UUID(int=rng.getrandbits(128), version=4))),
        sampler=_sampler(settings.sampling),
        clock=clock,
    )
    metrics = TracedMetrics(tracer)
    metrics.watch_tracing(recorded=lambda: tracer.recorded, exported=lambda: tracer.exported)
    return tracer, metrics


def _resource(settings: TracingResourceSettings, *, instance: str) -> "Resource":
    """Return what the configuration says, before what the environment says, before what is known otherwise."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    known = {"service.name": "memrouter", "service.version": __version__, "service.instance.id": instance}
    said = {
        "service.name": settings.service_name,
        "service.version": settings.service_version,
        "deployment.environment.name": settings.deployment_environment,
        **settings.attributes,
    }
    configured = Resource({name: value for name, value in said.items() if value})
    return Resource.create(known).merge(OTELResourceDetector().detect()).merge(configured)


def _sampler(settings: TracingSamplingSettings) -> "Sampler | None":
    """Return the configured sampler; None leaves it to the environment."""
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, TraceIdRatioBased

    if settings.type is None and settings.parent_based:
        return None
    root: Sampler
    match settings.type:
        case "always_on" | None:
            root = ALWAYS_ON
        case "always_off":
            root = ALWAYS_OFF
        case "probabilistic" | "traceidratio" | "trace_id_ratio":
            root = TraceIdRatioBased(settings.rate)
    if settings.parent_based:
        return ParentBased(root)
    return ParentBased(root, remote_parent_sampled=root, remote_parent_not_sampled=root)
