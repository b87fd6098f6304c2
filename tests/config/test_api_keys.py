"""Keys of model endpoints, from the configuration or the environment."""

import pytest

from memrouter.config.api_keys import resolve_api_key
from memrouter.config.reranking import RerankerSettings
from memrouter.errors import ConfigError


def key(env: dict[str, str] | None = None, **fields: str) -> str | None:
    settings = RerankerSettings.model_validate(fields)
    return resolve_api_key(settings, env=env or {}, path="memory.reranker", whose="the rerank endpoint")


def test_a_key_comes_from_the_file_or_the_environment_or_there_is_none() -> None:
    assert key() is None
    assert key(api_key=" sk-1\n") == "sk-1"
    assert key({"KEY": "sk-2"}, api_key_env="KEY") == "sk-2"
    assert key({"KEY": "sk-2"}, api_key="sk-1", api_key_env="KEY") == "sk-1"


@pytest.mark.parametrize("env", [{}, {"KEY": ""}, {"KEY": "  "}])
def test_a_variable_without_a_value_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="Set KEY, or leave api_key_env out"):
        key(env, api_key_env="KEY")


@pytest.mark.parametrize("bad", ["sk\r\nx: y", "schl\u00fcssel", "a\x00b"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_shown(bad: str) -> None:
    with pytest.raises(ConfigError, match=r"memory\.reranker\.api_key") as caught:
        key(api_key=bad)
    assert bad not in str(caught.value)
