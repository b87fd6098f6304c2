"""Checks of who is believed: what contradicts itself is refused before anything starts."""

from pathlib import Path
from typing import Any

import pytest

from memrouter.config.auth import AuthSettings
from memrouter.config.check import check_settings
from memrouter.config.load import load_settings
from memrouter.config.paths import dotted
from memrouter.config.settings import Settings
from memrouter.errors import ConfigError

JWT: dict[str, Any] = {"issuer": "https://i.example", "audience": ["memrouter"], "jwks_url": "https://i.example/jwks"}
SECRET = "s" * 64


def keys(**global_: Any) -> list[str]:
    found = check_settings(Settings.model_validate({"global": global_}))
    return [dotted(finding.path).removeprefix("global.") for finding in found]


def of_jwt(**changed: Any) -> list[str]:
    return [key.removeprefix("auth.") for key in keys(auth={"mode": "jwt", "jwt": {**JWT, **changed}})]


def test_each_mode_has_settings_that_are_right() -> None:
    assert keys(auth={"mode": "api_key"}) == []
    assert of_jwt() == []
    assert of_jwt(jwks_url="https://i.example/discovery/keys?p=b2c_1") == []
    assert of_jwt(jwks_url="", key_file="key.pem", algorithms=["EdDSA"]) == []
    assert of_jwt(jwks_url="", secret=SECRET, algorithms=["HS256", "HS512"]) == []


def test_settings_of_another_mode_are_not_asked_for() -> None:
    assert keys(auth={"jwt": {"issuer": "x"}}) == []


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"issuer": ""}, ["jwt.issuer"]),
        ({"audience": []}, ["jwt.audience"]),
        ({"audience": [""]}, ["jwt.audience"]),
        ({"jwks_url": ""}, ["jwt"]),
        ({"key_file": "k.pem"}, ["jwt"]),
        ({"secret": SECRET}, ["jwt", "jwt.algorithms"]),
        ({"jwks_url": "file:///etc/passwd"}, ["jwt.jwks_url"]),
        ({"jwks_url": "https://user:word@i.example/"}, ["jwt.jwks_url"]),
        ({"jwks_url": "https://i.example/#x"}, ["jwt.jwks_url"]),
        ({"jwks_url": "https:///x"}, ["jwt.jwks_url"]),
        ({"jwks_url": "https://i.example:0/"}, ["jwt.jwks_url"]),
        ({"jwks_url": "https://[x/"}, ["jwt.jwks_url"]),
        ({"jwks_url": "https://i.example/a b"}, ["jwt.jwks_url"]),
        ({"algorithms": ["RS256", "HS256"]}, ["jwt.algorithms"]),
        ({"algorithms": ["HS256"]}, ["jwt.algorithms"]),
        ({"jwks_url": "", "secret": SECRET}, ["jwt.algorithms"]),
        ({"jwks_url": "", "secret": SECRET, "algorithms": ["HS256", "RS256"]}, ["jwt.algorithms"]),
        ({"jwks_url": "", "secret": "s" * 31, "algorithms": ["HS256"]}, ["jwt.secret"]),
        ({"jwks_url": "", "secret": "s" * 63, "algorithms": ["HS512"]}, ["jwt.secret"]),
    ],
)
def test_what_would_believe_nobody_or_anybody_is_refused(changed: dict[str, Any], found: list[str]) -> None:
    assert of_jwt(**changed) == found


@pytest.mark.parametrize("algorithm", ["none", "None", "rs256", "ES256K", ""])
def test_no_other_algorithm_can_be_configured(tmp_path: Path, algorithm: str) -> None:
    file = tmp_path / "router.yaml"
    file.write_text(f"version: v0.3\nglobal: {{auth: {{jwt: {{\n  algorithms: ['{algorithm}']}}}}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(file, env={})
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (3, "global.auth.jwt.algorithms[0]")


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "router.yaml"
    file.write_text("version: v0.3\nglobal: {auth: {mode: jwt, jwt: {secret: hush-hush, algorithms: [HS256]}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(file, env={})
    assert "global.auth.jwt.secret" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_body_is_believed_beside_headers_only() -> None:
    assert keys(auth={"trust_body_user": True}) == []
    for mode in ("api_key", "jwt"):
        assert keys(auth={"mode": mode, "trust_body_user": True, "jwt": JWT}) == ["auth.trust_body_user"]


def test_protected_metrics_need_somebody_who_may_see_them() -> None:
    assert keys(auth={"protect_metrics": True}) == ["auth.operator_groups"]
    assert keys(auth={"protect_metrics": True, "operator_groups": ["ops"]}) == []
    assert keys(auth={"protect_metrics": True, "mode": "api_key"}) == []
    assert keys(auth={"mode": "jwt", "jwt": JWT, "operator_groups": ["ops"]}) == ["auth.jwt.groups_claim"]


@pytest.mark.parametrize(
    ("origin", "right"),
    [
        ("https://app.example.org", True),
        ("http://localhost:5173", True),
        ("http://[::1]:80", True),
        ("chrome-extension://abcdef", True),
        ("https://app.example.org/", False),
        ("https://APP.example.org\n", False),
        ("app.example.org", False),
        ("null", False),
        ("https://*.example.org", False),
        ("", False),
    ],
)
def test_origins_are_as_browsers_send_them(origin: str, right: bool) -> None:
    assert (keys(server={"cors": {"allow_origins": [origin]}}) == []) is right


def test_any_origin_may_call_only_where_pages_need_a_credential() -> None:
    everybody = {"cors": {"allow_origins": ["*"]}}
    assert keys(server=everybody) == ["server.cors.allow_origins[0]"]
    assert keys(server=everybody, auth={"mode": "api_key"}) == []


def test_headers_that_say_who_is_calling_are_private() -> None:
    named = AuthSettings(user_header="X-User")
    assert named.private_headers == {"x-user", "x-authz-user-groups", "x-authz-project-id"}
    assert "authorization" in AuthSettings(mode="jwt").private_headers


@pytest.mark.parametrize("host", ["memrouter.example.org", "localhost", "10.0.0.1", "::1", "a" * 63])
def test_names_and_addresses_of_the_router_are_taken(host: str) -> None:
    assert keys(auth={"allowed_hosts": [host]}) == []


@pytest.mark.parametrize(
    "host", ["", "http://a.example", "a.example:8888", "a/b", "A.example", "a..b", "*", "[::1]", "a" * 64]
)
def test_names_that_no_browser_asks_for_are_refused(host: str) -> None:
    assert keys(auth={"allowed_hosts": ["ok.example", host]}) == ["auth.allowed_hosts[1]"]
