"""MCP over streamable HTTP: a real router, the SDK's client, and callers who are not that well-behaved."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from .identity.gateway import Gateway, running_gateway

ANN = {"x-authz-user-id": "ann"}
BOB = {"x-authz-user-id": "bob"}
ACCEPTS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
ORIGIN = "https://app.example.org"


@asynccontextmanager
async def session(
    gateway: Gateway,
    headers: Mapping[str, str],
    *,
    mode: str = "auto",
    transport: httpx2.AsyncBaseTransport | None = None,
) -> AsyncIterator[Client]:
    url = f"{gateway.client.base_url}/mcp"
    async with (
        httpx2.AsyncClient(headers=dict(headers), transport=transport) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, cache=None) as client,
    ):
        yield client


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path, mcp={"enabled": True}) as running:
        yield running


async def ask(gateway: Gateway, body: object = LIST, **headers: str) -> tuple[int, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await gateway.client.post("/mcp", content=content, headers={**ANN, **ACCEPTS, **named})
    return answer.status_code, answer.json() if answer.content else None


async def contents(client: Client) -> set[str]:
    result = await client.call_tool("list", {"limit": 100})
    assert not result.is_error
    return {memory["content"] for memory in result.structured_content["memories"]}


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_of_either_era_remembers_and_recalls(gateway: Gateway, mode: str) -> None:
    async with session(gateway, ANN, mode=mode) as client:
        assert not (await client.call_tool("remember", {"content": "The user has a cat called Luna."})).is_error
        assert await contents(client) == {"The user has a cat called Luna."}
    assert await gateway.contents(ANN) == ["The user has a cat called Luna."]


async def test_many_users_at_once_never_cross(gateway: Gateway) -> None:
    async def live(number: int) -> set[str]:
        mode = "legacy" if number % 2 else "auto"
        async with session(gateway, {"x-authz-user-id": f"user-{number}"}, mode=mode) as client:
            for fact in range(3):
                made = await client.call_tool("remember", {"content": f"Canary {number} sings song {fact}."})
                assert not made.is_error
            found = await client.call_tool("recall", {"query": "Which canary sings which song?", "limit": 50})
            assert {memory["memory"]["content"][:9] for memory in found.structured_content["found"]} <= {
                f"Canary {number} "[:9]
            }
            return await contents(client)

    lives = await asyncio.gather(*(live(number) for number in range(10)))
    for number, seen in enumerate(lives):
        assert seen == {f"Canary {number} sings song {fact}." for fact in range(3)}


async def test_every_request_says_anew_who_is_calling(gateway: Gateway) -> None:
    await gateway.remember(ANN, "Ann's own.")
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list", "arguments": {}}}
    seen = [(await ask(gateway, call, **who)) for who in ({}, {"x-authz-user-id": "bob"}, {})]
    assert [len(body["result"]["structuredContent"]["memories"]) for _, body in seen] == [1, 0, 1]


async def test_nobody_is_told_so_in_the_form_of_the_protocol(gateway: Gateway) -> None:
    answer = await gateway.client.post("/mcp", json=LIST, headers=ACCEPTS)
    assert answer.status_code == 401
    assert "nobody is identified" in answer.json()["error"]["message"]
    with pytest.raises(BaseExceptionGroup) as caught:
        async with session(gateway, {}):
            pass
    (error,) = leaves(caught.value)
    assert isinstance(error, MCPError)
    assert "nobody is identified" in error.message


async def test_keys_open_the_door_as_on_every_route(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, mcp={"enabled": True}, auth={"mode": "api_key"}) as gateway:
        answer = await gateway.client.post("/mcp", json=LIST, headers={**ANN, **ACCEPTS})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        answer = await gateway.client.post("/mcp", json=LIST, headers={**ACCEPTS, "authorization": "Bearer mr_a_b"})
        assert answer.status_code == 401
        assert "mr_a_b" not in answer.text


async def test_rate_limits_hold(tmp_path: Path) -> None:
    limits = {"requests_per_minute": 6, "burst": 2}
    async with running_gateway(tmp_path, mcp={"enabled": True}, limits=limits) as gateway:
        statuses = [(await ask(gateway))[0] for _ in range(3)]
        assert statuses == [200, 200, 429]
        answer = await gateway.client.post("/mcp", json=LIST, headers={**ANN, **ACCEPTS})
        assert int(answer.headers["retry-after"]) >= 1
        assert (await ask(gateway, **{"x-authz-user-id": "bob"}))[0] == 200


async def test_web_pages_may_call_only_from_this_machine_and_listed_origins(tmp_path: Path) -> None:
    server = {"cors": {"allow_origins": [ORIGIN]}}
    async with running_gateway(tmp_path, mcp={"enabled": True}, server=server) as gateway:
        for origin in (ORIGIN, "http://localhost:6274", "http://127.0.0.1:8888", "http://[::1]:1"):
            assert (await ask(gateway, origin=origin))[0] == 200, origin
        for origin in ("http://evil.example", "http://localhost.evil.example", "null", "http://[", f"{ORIGIN}.evil"):
            status, body = await ask(gateway, origin=origin)
            assert status == 403, origin
            assert "allow_origins" in body["error"]["message"]


BAD_BODIES: tuple[tuple[object, int], ...] = (
    (b"", 400),
    (b"{", 400),
    (b"[" * 10_000, 400),
    (b"[]", 400),
    (b"null", 400),
    (b"\xff\xfe", 400),
    ({"jsonrpc": "1.0", "id": 1, "method": "tools/list"}, 400),
    ({"jsonrpc": "2.0", "id": 1, "method": "no/such"}, 200),
    ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 7}}, 200),
    ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list", "arguments": []}}, 200),
    (b"x" * 20_000, 413),
)


async def test_a_bad_body_is_refused_and_never_an_error_of_the_server(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, mcp={"enabled": True}, server={"max_body_bytes": 10_240}) as gateway:
        for body, status in BAD_BODIES:
            given, answer = await ask(gateway, body, mcp_protocol_version="2025-06-18")
            assert given == status, body
            assert answer["error"]["message"]
            given, answer = await ask(gateway, body, mcp_protocol_version="2026-07-28")
            assert 400 <= given < 500, body
            assert answer["error"]["message"]


async def test_only_post_is_served_so_that_no_stream_is_held_open(gateway: Gateway) -> None:
    for method in ("GET", "DELETE", "PUT"):
        answer = await gateway.client.request(method, "/mcp", headers={**ANN, **ACCEPTS})
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_it_is_off_unless_switched_on(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        assert (await gateway.client.post("/mcp", json=LIST, headers={**ANN, **ACCEPTS})).status_code == 404


async def test_routers_of_one_store_take_turns_within_one_session(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, mcp={"enabled": True}) as one,
        running_gateway(tmp_path, mcp={"enabled": True}) as other,
    ):
        balancer = _Balancer(str(one.client.base_url), str(other.client.base_url))
        async with session(one, ANN, mode="legacy", transport=balancer) as client:
            for number in range(4):
                assert not (await client.call_tool("remember", {"content": f"The user owns book {number}."})).is_error
            assert len(await contents(client)) == 4
        assert min(balancer.counts.values()) >= 3


async def test_a_client_that_hangs_up_leaves_nothing_running(tmp_path: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(*_: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with running_gateway(tmp_path, mcp={"enabled": True, "timeout": 3600}) as gateway:
        assert gateway.runtime.memory is not None
        gateway.runtime.memory.switches.of = endless  # type: ignore[method-assign, assignment]  # a store that hangs
        params: dict[str, Any] = {"name": "list", "arguments": {}, "_meta": ENVELOPE}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        for version in ("2025-06-18", "2026-07-28"):
            begun.clear()
            ended.clear()
            named = {"mcp_protocol_version": version, "mcp_method": "tools/call", "mcp_name": "list"}
            asking = asyncio.create_task(ask(gateway, call, **named))
            await begun.wait()
            asking.cancel()
            await asyncio.wait((asking,))
            async with asyncio.timeout(30):
                await ended.wait()


async def test_no_log_and_no_metric_tells_what_was_remembered(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        async with session(gateway, {"x-authz-user-id": "canary-user"}) as client:
            await client.call_tool("remember", {"content": "The canary word is heliotrope."})
            await client.call_tool("recall", {"query": "heliotrope"})
            await client.call_tool("forget", {"id": "heliotrope"})
    told = "\n".join(str(vars(record)) for record in caplog.records if not record.name.startswith("httpx"))
    assert "'tool': 'recall'" in told
    assert "heliotrope" not in told
    assert "canary-user" not in told
    assert b"heliotrope" not in gateway.runtime.metrics.render()


class _Balancer(httpx2.AsyncBaseTransport):
    """Sends requests to several routers in turn, and counts those of each."""

    def __init__(self, *urls: str) -> None:
        self._inner = httpx2.AsyncHTTPTransport()
        self._ports = itertools.cycle(httpx2.URL(url).port for url in urls)
        self.counts: Counter[int | None] = Counter()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        port = next(self._ports)
        self.counts[port] += 1
        request.url = request.url.copy_with(port=port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in leaves(each)]
    return [error]
