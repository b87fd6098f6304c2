"""What an operator is told about who is believed."""

from typing import Any

import pytest

from memrouter.api.identity.advice import identity_advice, is_loopback
from memrouter.config.settings import Settings


def advice(*, address: str = "127.0.0.1", **global_: Any) -> list[str]:
    settings = Settings.model_validate({"listeners": [{"address": address}], "global": global_})
    return [str(one) for one in identity_advice(settings, settings.listeners[0])]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.5.5.5", "::1", "[::1]", "localhost"])
def test_a_listener_for_this_machine_needs_no_advice(address: str) -> None:
    assert is_loopback(address)
    assert advice(address=address) == []


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.5", "router.internal", ""])  # noqa: S104 - the case that is warned of
def test_a_public_listener_that_believes_this_machine_alone_is_told_the_ways_out(address: str) -> None:
    (said,) = advice(address=address)
    assert "x-authz-user-id from other machines is not believed" in said
    for way in ("trusted_proxies", "api_key", "jwt"):
        assert way in said
    assert advice(address=address, auth={"trusted_proxies": ["10.0.0.0/8"]}) == []
    assert advice(address=address, auth={"mode": "api_key"}) == []


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_believing_everybody_is_said(network: str) -> None:
    (said,) = advice(auth={"trusted_proxies": ["10.0.0.0/8", network]})
    assert "whoever reaches the router can be any user" in said


def test_believing_bodies_is_shouted() -> None:
    (said,) = advice(auth={"trust_body_user": True})
    assert said.startswith("UNSAFE")


@pytest.mark.parametrize(
    ("url", "count"), [("http://i.example/k", 1), ("https://i.example/k", 0), ("http://[::1]/", 0)]
)
def test_keys_that_come_unprotected_over_a_network_are_said(url: str, count: int) -> None:
    assert len(advice(auth={"mode": "jwt", "jwt": {"jwks_url": url}})) == count


def test_any_web_page_is_said() -> None:
    (said,) = advice(auth={"mode": "api_key"}, server={"cors": {"allow_origins": ["*"]}})
    assert "any web page" in said
