from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from memrouter.config.routing import FOREIGN_PLUGINS
from memrouter.config.schema import settings_schema

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(settings_schema())


def with_plugin(plugin: object) -> dict[str, Any]:
    return {"routing": {"decisions": [{"name": "d", "plugins": [plugin]}]}}


def with_memory(**memory: object) -> dict[str, Any]:
    return {"global": {"stores": {"memory": memory}}}


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(settings_schema())


@pytest.mark.parametrize("name", ["memrouter.yaml", "go_router.yaml"])
def test_the_samples_fit_the_schema(validator: Draft202012Validator, name: str) -> None:
    assert list(validator.iter_errors(yaml.safe_load((DATA / name).read_text()))) == []


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"listeners": [{"port": "${PORT:-80}", "timeout": "${T}"}, {"timeout": "250ms"}, {"timeout": 3}]},
        {"routing": {"signals": {"context": [{"name": "a", "min_tokens": "32K", "max_tokens": 5}]}}},
        with_memory(enabled="${ON}", valkey={"password_file": "/run/secrets/pw", "dimension": None}),
        *[with_plugin({"type": name, "configuration": {"anything": 1}}) for name in sorted(FOREIGN_PLUGINS)],
        with_plugin({"type": "memory", "configuration": {"retrieval_limit": 3}}),
    ],
)
def test_what_the_loader_takes_fits_the_schema(validator: Draft202012Validator, data: object) -> None:
    assert list(validator.iter_errors(data)) == []


@pytest.mark.parametrize(
    "data",
    [
        {"nonsense": 1},
        {"version": "v0.4"},
        {"listeners": []},
        {"listeners": [{"port": 70_000}]},
        {"listeners": [{"timeout": "soon"}]},
        {"routing": {"signals": {"context": [{"name": "a", "min_tokens": -1}]}}},
        with_memory(backend="valky"),
        with_plugin({"type": "memmory"}),
        with_plugin({"type": "memory", "configuration": {"system_prompt": "x"}}),
        with_plugin({"type": "system_prompt", "configuration": {"retrieval_limit": 3}}),
    ],
)
def test_what_the_loader_refuses_does_not_fit(validator: Draft202012Validator, data: object) -> None:
    assert list(validator.iter_errors(data)) != []


def test_sections_settings_and_foreign_keys_are_described() -> None:
    schema = settings_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    listener = schema["$defs"]["Listener"]
    assert listener["description"] == "An address that the router answers on."
    assert listener["properties"]["port"]["description"] == "0 takes a free port."
    foreign = schema["$defs"]["ServiceSettings"]["properties"]["ratelimit"]
    assert "type" not in foreign
    assert "Go router" in foreign["description"]
