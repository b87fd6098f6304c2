"""Checks of ``global.services.observability.tracing``."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from memrouter.config.addresses import bad_base_url, bad_header_value, is_header_name
from memrouter.config.findings import Finding
from memrouter.config.paths import KeyPath
from memrouter.config.settings import Settings
from memrouter.config.tracing import TracingExporterSettings

_EXPORTER: KeyPath = ("global", "services", "observability", "tracing", "exporter")


def check_tracing(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with the address and the headers of the collector. Reads nothing but the settings."""
    exporter = settings.global_.services.observability.tracing.exporter
    if exporter.endpoint and not _is_address(exporter):
        yield Finding(
            (*_EXPORTER, "endpoint"),
            "an http:// or https:// URL or host:port, without user name, query or fragment",
            hint="Such as http://localhost:4318; credentials go into headers.",
        )
    if not _are_headers(exporter):
        yield Finding(
            (*_EXPORTER, "headers"),
            "name=value pairs with commas between them, values URL-encoded",
            hint="Such as authorization=Bearer%20TOKEN",
        )


def _is_address(exporter: TracingExporterSettings) -> bool:
    try:
        url = exporter.url
        return not bad_base_url(url) and "@" not in urlsplit(url).netloc
    except ValueError:
        return False


def _are_headers(exporter: TracingExporterSettings) -> bool:
    try:
        pairs = exporter.header_pairs
    except ValueError:
        return False
    return all(is_header_name(name) and not bad_header_value(value) for name, value in pairs.items())
