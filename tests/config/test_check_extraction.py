"""Checks of models with a role and of the one that draws facts from turns."""

from typing import Any

import pytest

from memrouter.config.check import check_settings
from memrouter.config.paths import dotted
from memrouter.config.settings import Settings


def model(name: str, **fields: object) -> dict[str, object]:
    return {"name": name, "backend_refs": [{"endpoint": "127.0.0.1:8000"}], **fields}


def settings(*models: dict[str, object], **memory: Any) -> Settings:
    data = {"providers": {"models": list(models)}, "global": {"stores": {"memory": memory}}}
    return Settings.model_validate(data)


def keys(*models: dict[str, object], **memory: Any) -> list[str]:
    return [dotted(finding.path) for finding in check_settings(settings(*models, **memory))]


def test_a_model_that_does_not_exist_is_refused_with_the_nearest_name() -> None:
    (finding,) = check_settings(settings(model("small"), extraction={"model": "smal"}))
    assert dotted(finding.path) == "global.stores.memory.extraction.model"
    assert "small" in finding.hint


def test_a_model_that_exists_may_draw_facts_without_the_role() -> None:
    assert keys(model("small"), extraction={"model": "small"}) == []


@pytest.mark.parametrize("role", ["memory_rewrite", "memory_extraction"])
def test_a_role_is_one_model_s(role: str) -> None:
    assert keys(model("a", role=role), model("b"), model("c", role=role)) == ["providers.models[2].role"]


def test_each_role_may_have_a_model() -> None:
    small = [model("a", role="memory_rewrite"), model("b", role="memory_extraction"), model("c")]
    chosen = settings(*small)
    assert check_settings(chosen) == []
    assert chosen.extraction_model is not None
    assert chosen.rewriting_model is not None
    assert (chosen.rewriting_model.name, chosen.extraction_model.name) == ("a", "b")


def test_switched_off_no_model_draws_facts() -> None:
    role = model("a", role="memory_extraction")
    assert settings(role).extraction_model is not None
    assert settings(role, extraction={"enabled": False}).extraction_model is None
