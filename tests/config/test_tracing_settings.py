"""Where traces go, and which: as the file says, in the Go router's words."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.base import Secret
from memrouter.config.load import Loaded, load_settings
from memrouter.config.show import settings_yaml
from memrouter.config.tracing import TracingExporterSettings
from memrouter.errors import ConfigError

GO_ROUTER = """\
enabled: true
provider: opentelemetry
exporter: {type: otlp, endpoint: "jaeger:4317", insecure: true}
sampling: {type: probabilistic, rate: 0.5}
resource: {service_name: vllm-sr, service_version: v0.3.0, deployment_environment: development}
"""


def loaded(folder: Path, tracing: Any, **observability: Any) -> Loaded:
    models = [{"name": "m", "backend_refs": [{"endpoint": "127.0.0.1:9"}]}]
    services = {"observability": {"tracing": tracing, **observability}}
    file = folder / "router.yaml"
    file.write_text(
        yaml.safe_dump({"version": "v0.3", "providers": {"models": models}, "global": {"services": services}})
    )
    return load_settings(file, env={})


def test_nothing_is_traced_by_default(tmp_path: Path) -> None:
    assert not loaded(tmp_path, {}).settings.tracing.enabled


def test_a_section_of_the_go_router_is_taken_as_it_is_and_its_grpc_port_is_pointed_out(tmp_path: Path) -> None:
    found = loaded(tmp_path, yaml.safe_load(GO_ROUTER), metrics={"enabled": True})
    tracing = found.settings.tracing
    assert tracing.exporter.url == "http://jaeger:4317/v1/traces"
    assert (tracing.sampling.type, tracing.sampling.rate) == ("probabilistic", 0.5)
    assert tracing.resource.service_name == "vllm-sr"
    foreign, grpc = found.warnings
    assert foreign.endswith("global.services.observability.metrics.")
    assert "4318" in grpc


@pytest.mark.parametrize(
    ("exporter", "url"),
    [
        ({}, ""),
        ({"endpoint": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"endpoint": "http://c:4318/"}, "http://c:4318/v1/traces"),
        ({"endpoint": "https://c/otlp/v1/traces"}, "https://c/otlp/v1/traces"),
        ({"endpoint": "c:4318"}, "https://c:4318/v1/traces"),
        ({"endpoint": "[::1]:4318", "insecure": True}, "http://[::1]:4318/v1/traces"),
    ],
)
def test_the_endpoint_names_the_route_of_traces(tmp_path: Path, exporter: dict[str, Any], url: str) -> None:
    found = loaded(tmp_path, {"enabled": True, "exporter": exporter})
    assert found.settings.tracing.exporter.url == url
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("key", "tracing"),
    [
        ("exporter.endpoint", {"exporter": {"endpoint": "ftp://c:4318"}}),
        ("exporter.endpoint", {"exporter": {"endpoint": "http://me:word@c:4318"}}),
        ("exporter.endpoint", {"exporter": {"endpoint": "http://c:4318/?q=1"}}),
        ("exporter.endpoint", {"exporter": {"endpoint": "http://[::1"}}),
        ("exporter.headers", {"exporter": {"headers": "hush"}}),
        ("exporter.headers", {"exporter": {"headers": "a b=hush"}}),
        ("exporter.headers", {"exporter": {"headers": "a=hush%0d%0ab:c"}}),
        ("exporter.timeout", {"exporter": {"timeout": 0}}),
        ("exporter.type", {"exporter": {"type": "zipkin"}}),
        ("sampling.type", {"sampling": {"type": "sometimes"}}),
        ("sampling.rate", {"sampling": {"rate": 1.1}}),
        ("sampler", {"sampler": {}}),
    ],
)
def test_what_cannot_be_is_refused_with_its_line_and_without_a_secret(
    tmp_path: Path, key: str, tracing: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, tracing)
    (problem,) = refused.value.problems
    assert problem.key == f"global.services.observability.tracing.{key}"
    assert problem.line is not None
    assert "hush" not in str(refused.value)


def test_headers_are_decoded_and_hidden(tmp_path: Path) -> None:
    exporter = {"headers": "Authorization=Bearer%20hush, x-tenant=a=b"}
    settings = loaded(tmp_path, {"exporter": exporter}).settings
    assert settings.tracing.exporter.header_pairs == {"authorization": "Bearer hush", "x-tenant": "a=b"}
    assert "hush" not in settings_yaml(settings)


def test_headers_come_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "headers").write_text("authorization=Bearer%20hush\n")
    settings = loaded(tmp_path, {"exporter": {"headers_file": "headers"}}).settings
    assert settings.tracing.exporter.header_pairs == {"authorization": "Bearer hush"}


@given(st.text())
def test_any_text_is_either_headers_or_refused_without_a_word_of_it(text: str) -> None:
    exporter = TracingExporterSettings(headers=Secret(text))
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    if all(name.strip() and equals for name, equals, _ in parts):
        assert all(name == name.lower() for name in exporter.header_pairs)
    else:
        with pytest.raises(ValueError, match=r"^a part without name or =$"):
            _ = exporter.header_pairs
