"""``global.services.observability``: traces of requests, sent to an OpenTelemetry collector."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field

from memrouter.config.base import Seconds, Secret, Section

TRACES_PATH: Final = "/v1/traces"
GRPC_PORT: Final = 4317
"""Where collectors take OTLP over gRPC, as a rule; OTLP over HTTP, which is what is sent, has 4318."""

Sampling = Literal["always_on", "always_off", "probabilistic", "traceidratio", "trace_id_ratio"]


class TracingExporterSettings(Section):
    """Where traces are sent."""

    type: Literal["otlp"] = "otlp"
    """OTLP over HTTP, as protobuf."""
    endpoint: str = ""
    """URL of the collector; without a path, ``/v1/traces`` is added. ``host:port`` means https, or http where
    ``insecure`` is set. Omitted = ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``, ``OTEL_EXPORTER_OTLP_ENDPOINT``, or
    ``http://localhost:4318``."""
    insecure: bool = False
    """Whether an ``endpoint`` without scheme is spoken to without TLS."""
    headers: Secret = Secret("")
    """Headers for the collector, as ``name=value,name=value`` with URL-encoded values; omitted =
    ``OTEL_EXPORTER_OTLP_HEADERS``."""
    timeout: Seconds | None = Field(default=None, gt=0)
    """Longest time to send one batch, tries included; omitted = ``OTEL_EXPORTER_OTLP_TIMEOUT``, or 10 s."""

    @property
    def url(self) -> str:
        """Return where traces go; empty where the environment decides."""
        if not self.endpoint:
            return ""
        scheme = "http" if self.insecure else "https"
        url = urlsplit(self.endpoint if "://" in self.endpoint else f"{scheme}://{self.endpoint}")
        return url.geturl() if url.path.strip("/") else url._replace(path=TRACES_PATH).geturl()

    @property
    def header_pairs(self) -> Mapping[str, str]:
        """Return the headers by name, in lower case.

        Raises:
            ValueError: A part is not ``name=value``; the message holds nothing of it.
        """
        pairs = {}
        for part in filter(str.strip, self.headers.get_secret_value().split(",")):
            name, equals, value = part.partition("=")
            if not (name.strip() and equals):
                msg = "a part without name or ="
                raise ValueError(msg)
            pairs[unquote(name).strip().lower()] = unquote(value).strip()
        return pairs


class TracingSamplingSettings(Section):
    """Which requests are traced."""

    type: Sampling | None = None
    """``probabilistic`` (also ``traceidratio``, ``trace_id_ratio``) traces the share ``rate``; omitted =
    ``OTEL_TRACES_SAMPLER``, or every request."""
    rate: float = Field(default=1.0, ge=0, le=1)
    """Share of requests that ``probabilistic`` traces."""
    parent_based: bool = True
    """Whether a ``traceparent`` header decides instead, where a request brings one. Switch it off where strangers can
    reach the router, or they decide how much is traced."""


class TracingResourceSettings(Section):
    """What traces say about this router."""

    service_name: str = ""
    """Omitted = ``OTEL_SERVICE_NAME``, or ``memrouter``."""
    service_version: str = ""
    """Omitted = the version of memrouter."""
    deployment_environment: str = ""
    """Such as ``production``."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """Further attributes of the resource, beside those of ``OTEL_RESOURCE_ATTRIBUTES``."""


class TracingSettings(Section):
    """Traces by OpenTelemetry; needs the extra ``[otel]``."""

    enabled: bool = False
    """Whether requests are traced."""
    provider: Literal["opentelemetry"] = "opentelemetry"
    """As in files of the Go router."""
    exporter: TracingExporterSettings = TracingExporterSettings()
    sampling: TracingSamplingSettings = TracingSamplingSettings()
    resource: TracingResourceSettings = TracingResourceSettings()


class ObservabilitySettings(Section):
    """What the router tells about itself beside metrics and logs."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"metrics"})

    tracing: TracingSettings = TracingSettings()


def grpc_warning(tracing: TracingSettings) -> tuple[str, ...]:
    """Return a warning where the endpoint looks like one for gRPC."""
    if not tracing.enabled or f":{GRPC_PORT}" not in tracing.exporter.endpoint:
        return ()
    text = f"port {GRPC_PORT} is for OTLP over gRPC, as a rule; memrouter sends it over HTTP, which has port 4318"
    return (f"global.services.observability.tracing.exporter.endpoint: {text}.",)
