from typing import Any

import pytest

from memrouter.config.settings import Settings
from memrouter.errors import ConfigError
from memrouter.upstream.backend import Backend, resolve_backends


def settings(*refs: dict[str, Any]) -> Settings:
    return Settings.model_validate({"providers": {"models": [{"name": "m", "backend_refs": list(refs)}]}})


def resolve(env: dict[str, str] | None = None, **ref: object) -> Backend:
    return resolve_backends(settings({"endpoint": "h:8000", **ref}), env=env or {})["m"][0]


def test_without_a_key_the_clients_authorization_is_left_alone() -> None:
    backend = resolve()
    assert (dict(backend.headers), backend.replaced) == ({}, frozenset())
    assert (backend.name, str(backend.url)) == ("h:8000", "http://h:8000/v1/chat/completions")


def test_a_key_from_the_environment_replaces_the_clients() -> None:
    backend = resolve({"KEY": "secret\n"}, api_key_env="KEY")
    assert backend.headers == {"authorization": "Bearer secret"}
    assert backend.replaced == {"authorization"}


def test_header_and_prefix_of_the_key_can_be_chosen() -> None:
    backend = resolve(api_key="k", auth_header="api-key", auth_prefix="", extra_headers={"X-Org": "o"})
    assert backend.headers == {"api-key": "k", "x-org": "o"}
    assert backend.replaced == {"authorization"}


@pytest.mark.parametrize("env", [{}, {"UPSTREAM_KEY": ""}, {"UPSTREAM_KEY": " \n"}])
def test_a_missing_variable_is_named_with_its_backend(env: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"UPSTREAM_KEY.*backend 'local'"):
        resolve(env, name="local", api_key_env="UPSTREAM_KEY")


def test_all_problems_are_told_at_once_and_keys_are_not_shown() -> None:
    refs: list[dict[str, Any]] = [
        {"endpoint": "h:99999"},
        {"base_url": "ftp://h/v1"},
        {"base_url": "http://user:hush@h/v1"},
        {"endpoint": "h:1", "extra_headers": {"bad name": "x"}},
        {"endpoint": "h:1", "api_key": "hush\r\nx: y"},
        {"endpoint": "h:1", "api_key_env": "NONE"},
    ]
    with pytest.raises(ConfigError) as caught:
        resolve_backends(settings(*refs), env={})
    assert [problem.key.partition("refs")[2] for problem in caught.value.problems] == [
        *("[0]", "[1]", "[2]", "[3]", "[4]"),
        "[5].api_key_env",
    ]
    assert "hush" not in str(caught.value)


def test_a_backend_tells_its_name_and_address_but_no_query() -> None:
    backend = resolve_backends(settings({"base_url": "https://h/v1", "chat_path": "/c?key=hush", "name": "b"}), env={})
    assert str(backend["m"][0]) == "backend 'b' (h:443)"
