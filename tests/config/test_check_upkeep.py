"""The model of consolidation must be one of the configured ones."""

from pathlib import Path

import pytest
import yaml

from memrouter.config.load import load_settings
from memrouter.errors import ConfigError


def written(folder: Path, model: str) -> Path:
    file = folder / "router.yaml"
    config = {
        "version": "v0.3",
        "providers": {"models": [{"name": "small", "backend_refs": [{"base_url": "http://127.0.0.1:1/v1"}]}]},
        "global": {"stores": {"memory": {"consolidation": {"model": model}}}},
    }
    file.write_text(yaml.safe_dump(config))
    return file


def test_a_model_that_is_configured_writes_merged_texts(tmp_path: Path) -> None:
    meant = load_settings(written(tmp_path, "small"), env={}).settings.consolidation_model
    assert meant is not None
    assert meant.name == "small"


def test_without_a_name_no_model_writes(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, ""), env={}).settings.consolidation_model is None


def test_an_unknown_model_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"consolidation.model(.|\n)*small"):
        load_settings(written(tmp_path, "smal"), env={})
