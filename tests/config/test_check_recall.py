"""Checks of reflection, re-ranking and query rewriting."""

from pathlib import Path
from typing import Any

import pytest

from memrouter.config.check import check_settings
from memrouter.config.findings import Finding
from memrouter.config.load import load_settings
from memrouter.config.paths import dotted
from memrouter.config.settings import Settings
from memrouter.errors import ConfigError

MEMORY = "global.stores.memory"


def model(name: str, **fields: object) -> dict[str, object]:
    return {"name": name, "backend_refs": [{"endpoint": "127.0.0.1:8000"}], **fields}


def findings(*models: dict[str, object], **memory: Any) -> list[Finding]:
    data = {"providers": {"models": list(models)}, "global": {"stores": {"memory": memory}}}
    return check_settings(Settings.model_validate(data))


def keys(*models: dict[str, object], **memory: Any) -> list[str]:
    return [dotted(finding.path) for finding in findings(*models, **memory)]


@pytest.mark.parametrize("name", ["recency_semantic", "heuristic", "noop"])
def test_memrouter_s_own_reflection_algorithms_are_known(name: str) -> None:
    assert keys(reflection={"algorithm": name}) == []


def test_an_unknown_reflection_algorithm_is_refused_with_line_list_and_hint(tmp_path: Path) -> None:
    file = tmp_path / "router.yaml"
    file.write_text("version: v0.3\nglobal: {stores: {memory: {reflection: {\n  algorithm: recency}}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(file, env={})
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (3, f"{MEMORY}.reflection.algorithm")
    assert problem.allowed == "recency_semantic | heuristic | noop"


def test_an_unknown_reflection_algorithm_of_a_route_is_refused_too() -> None:
    plugin = {"type": "memory", "configuration": {"reflection": {"algorithm": "recency_semantik"}}}
    settings = Settings.model_validate({"routing": {"decisions": [{"name": "d", "plugins": [plugin]}]}})
    (finding,) = check_settings(settings)
    assert dotted(finding.path) == "routing.decisions[0].plugins[0].configuration.reflection.algorithm"
    assert finding.hint == "Did you mean 'recency_semantic'?"


def test_a_program_s_own_algorithm_is_known_where_it_is_named(tmp_path: Path) -> None:
    file = tmp_path / "router.yaml"
    file.write_text("version: v0.3\nglobal: {stores: {memory: {reflection: {algorithm: mine}}}}\n")
    loaded = load_settings(file, env={}, algorithms=["mine"])
    assert loaded.settings.memory.reflection.algorithm == "mine"


def test_an_installed_package_s_algorithm_is_known_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "orchard-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: orchard\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[memrouter.reflection]\npears = a_module_that_is_not_there:pears\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert keys(reflection={"algorithm": "pears"}) == []


def test_an_endpoint_needs_address_and_model() -> None:
    assert keys(reranker={"kind": "endpoint"}) == [f"{MEMORY}.reranker.base_url", f"{MEMORY}.reranker.model"]
    assert keys(reranker={"kind": "endpoint", "base_url": "llm:8000/v1", "model": "m"}) == [
        f"{MEMORY}.reranker.base_url"
    ]
    assert keys(reranker={"kind": "endpoint", "base_url": "http://llm:8000/v1", "model": "m"}) == []


def test_a_local_reranker_needs_a_folder() -> None:
    assert keys(reranker={"kind": "onnx"}) == [f"{MEMORY}.reranker.path"]
    assert keys(reranker={"kind": "onnx", "path": "./model"}) == []


def test_what_a_reranker_that_is_off_says_does_not_matter() -> None:
    assert keys(reranker={"base_url": "nonsense"}) == []


def test_the_rewriting_model_must_exist() -> None:
    (finding,) = findings(model("small"), query_rewrite={"model": "smal"})
    assert dotted(finding.path) == f"{MEMORY}.query_rewrite.model"
    assert finding.hint == "Did you mean 'small'?"
    assert keys(model("small"), query_rewrite={"model": "small"}) == []


def test_a_role_is_one_model_s() -> None:
    role = {"role": "memory_rewrite"}
    assert keys(model("a", **role), model("b"), model("c", **role)) == ["providers.models[2].role"]


@pytest.mark.parametrize(
    "section",
    [
        "reranker: {kind: remote}",
        "reranker: {candidates: 1}",
        "reranker: {timeout_ms: 0}",
        "query_rewrite: {turns: 0}",
        "query_rewrite: {max_tokens: 1}",
        "reflection: {recency_decay_days: 0}",
        "reflection: {dedup_threshold: 1.5}",
    ],
)
def test_values_out_of_range_are_refused_with_their_line(tmp_path: Path, section: str) -> None:
    file = tmp_path / "router.yaml"
    file.write_text(f"version: v0.3\nglobal:\n  stores:\n    memory:\n      {section}\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(file, env={})
    assert [problem.line for problem in caught.value.problems] == [5]


def test_keys_do_not_show_in_what_is_printed() -> None:
    data = {"global": {"stores": {"memory": {"reranker": {"api_key": "sk-secret"}}}}}
    assert "sk-secret" not in repr(Settings.model_validate(data))
