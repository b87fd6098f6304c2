from pathlib import Path

import yaml

from memrouter.config.load import load_settings
from memrouter.config.settings import Settings
from memrouter.config.show import settings_yaml

DATA = Path(__file__).parent / "data"


def test_what_is_shown_loads_to_the_same_settings(tmp_path: Path) -> None:
    settings = load_settings(DATA / "memrouter.yaml", env={}).settings
    shown = tmp_path / "shown.yaml"
    shown.write_text(settings_yaml(settings))
    assert load_settings(shown, env={}).settings == settings


def test_defaults_are_shown() -> None:
    data = yaml.safe_load(settings_yaml(Settings()))
    assert data["listeners"][0]["port"] == 8888
    assert data["global"]["stores"]["memory"]["embedding_model"] == "wordllama"


def test_secrets_are_hidden_and_the_rest_is_not() -> None:
    backend = {
        "base_url": "http://user:hunter2@host/v1",
        "api_key": "hunter2",
        "extra_headers": {"X-Api-Key": "hunter2", "x-team": "blue"},
    }
    mutation = {"set": [{"name": "Authorization", "value": "hunter2"}, {"name": "x-team", "value": "red"}]}
    settings = Settings.model_validate(
        {
            "providers": {"models": [{"name": "a", "backend_refs": [backend]}]},
            "routing": {
                "decisions": [{"name": "d", "plugins": [{"type": "header_mutation", "configuration": mutation}]}]
            },
            "global": {"stores": {"memory": {"valkey": {"password": "hunter2"}, "milvus": {"token": "hunter2"}}}},
        }
    )
    text = settings_yaml(settings)
    assert "hunter2" not in text
    assert "password: '**********'" in text
    assert "x-team: blue" in text
    assert "value: red" in text
    assert "http://**********@host/v1" in text


def test_long_values_are_not_folded() -> None:
    prompt = "word " * 100 + "end"
    plugin = {"type": "system_prompt", "configuration": {"system_prompt": prompt}}
    settings = Settings.model_validate({"routing": {"decisions": [{"name": "d", "plugins": [plugin]}]}})
    assert f"system_prompt: {prompt}\n" in settings_yaml(settings)
