"""Pages whose name was made to lead to this machine are refused; programs, proxies and the router's own pages not."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI

from memrouter.api.identity.rebinding import OwnNames, RebindingGuard, host_and_port
from memrouter.errors import Forbidden

from .gateway import CHAT, running_gateway

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
PAGE = {"user-agent": BROWSER, "accept-language": "en-GB,en;q=0.5", "host": "rebound.example:8888"}
USER = {"x-authz-user-id": "alice"}
PORT = 8888


def refuses(headers: Mapping[str, str], *, peer: str | None = "127.0.0.1", version: str = "1.1") -> bool:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    client = None if peer is None else (peer, 1)
    scope = {"headers": raw, "client": client, "server": ("127.0.0.1", PORT), "http_version": version}
    try:
        RebindingGuard(OwnNames(["gateway.example"])).check(scope)
    except Forbidden as error:
        return error.code == "host_not_allowed" and "global.auth.allowed_hosts" in str(error)
    return False


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_a_page_that_was_made_to_lead_here_is_refused(peer: str) -> None:
    assert refuses(PAGE, peer=peer)


@pytest.mark.parametrize(
    "host", ["rebound.example", "127.0.0.1.rebound.example:8888", "localhost.rebound.example:8888", "", "a b", "[::"]
)
def test_no_name_but_an_own_one_is_taken_from_a_browser(host: str) -> None:
    assert refuses({**PAGE, "host": host})


@pytest.mark.parametrize(
    "said",
    [
        {"x-forwarded-for": "10.0.0.1"},
        {"forwarded": "for=10.0.0.1", "x-forwarded-proto": "https", "x-real-ip": "10.0.0.1"},
        {"user-agent": "curl/8.5.0"},
        {"user-agent": ""},
        {"user-agent": "curl/8.5.0", "accept-language": "*"},
        {"user-agent": "curl/8.5.0", "x-forwarded-for": "10.0.0.1"},
    ],
)
def test_headers_that_a_page_may_set_do_not_let_it_in(said: dict[str, str]) -> None:
    assert refuses({**PAGE, **said})


@pytest.mark.parametrize("name", ["origin", "referer", "sec-fetch-site"])
def test_a_browser_gives_itself_away_by_what_programs_do_not_send(name: str) -> None:
    assert refuses({"host": "rebound.example:8888", name: "http://rebound.example:8888"})


@pytest.mark.parametrize(
    "host", ["localhost:8888", "LOCALHOST", "app.localhost:8888", "127.0.0.1:8888", "[::1]:8888", "192.168.1.7:8888"]
)
def test_pages_of_this_machine_and_of_addresses_are_let_in(host: str) -> None:
    assert not refuses({**PAGE, "host": host})


def test_a_name_that_is_allowed_is_let_in() -> None:
    assert not refuses({**PAGE, "host": "Gateway.example:8888"})


@pytest.mark.parametrize("agent", ["curl/8.5.0", "OpenAI/Python 2.9.0", "python-httpx/0.28.1", "Go-http-client/1.1"])
def test_programs_are_let_in_by_any_name(agent: str) -> None:
    assert not refuses({"user-agent": agent, "host": "laptop:8888", "accept": "*/*", "accept-encoding": "gzip"})
    assert not refuses({"host": "laptop:8888"})


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ({"host": "chat.example", "x-forwarded-for": "10.0.0.1"}, "1.1"),  # Caddy, HAProxy, Envoy, nginx with Host
        ({"host": "chat.example:8443", "x-real-ip": "10.0.0.1"}, "1.1"),
        ({"host": "chat.example", "x-forwarded-proto": "https"}, "1.1"),
        ({"host": "memrouter", "referer": "https://chat.example/"}, "1.0"),  # nginx as it comes
        ({"host": "chat.example:8888", "via": "1.1 proxy"}, "1.1"),
    ],
)
def test_what_a_proxy_passes_on_is_let_in(said: dict[str, str], version: str) -> None:
    assert not refuses({**PAGE, **said}, version=version)


@pytest.mark.parametrize("peer", ["10.0.0.7", "::2", None])
def test_other_machines_and_sockets_without_address_are_none_of_its_business(peer: str | None) -> None:
    assert not refuses(PAGE, peer=peer)


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_whatever_stands_in_the_host_header_has_a_name_and_a_port(host: str) -> None:
    name, port = host_and_port(host)
    assert name == name.lower()
    assert 0 < port < 65_536


async def test_over_http_a_rebound_page_gets_no_memory_and_no_answer(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        client = gateway.client
        port = client.base_url.port
        page = {**PAGE, "host": f"rebound.example:{port}", "x-forwarded-for": "10.0.0.1", **USER}
        assert (await gateway.remember(USER, "the canary is yellow")).status_code == 201
        for method, path in await gateway.routes():
            if path.startswith("/v1/models"):
                continue  # open to everybody
            answer = await client.request(method, path, headers=page)
            assert answer.status_code == 403, (method, path)
            assert "global.auth.allowed_hosts" in answer.json()["error"]["message"]
            assert "canary" not in answer.text
        assert gateway.upstream.requests == []
        assert (await client.get("/v1/memory", headers={**page, "host": f"localhost:{port}"})).status_code == 200


async def test_over_http_clients_are_served_by_any_name_of_this_machine(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        headers = {**USER, "host": f"laptop:{gateway.client.base_url.port}"}
        async with AsyncOpenAI(
            base_url=f"{gateway.client.base_url}/v1", api_key="none", default_headers=headers, max_retries=0
        ) as client:
            answer = await client.chat.completions.create(**CHAT)
        assert answer.choices
        assert (await gateway.chat({**headers, "user-agent": "curl/8.5.0"})).status_code == 200


async def test_where_nobody_is_believed_for_a_header_any_name_will_do(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, auth={"mode": "api_key"}) as gateway:
        page = {**PAGE, "host": f"rebound.example:{gateway.client.base_url.port}"}
        assert (await gateway.chat(page)).status_code == 401
