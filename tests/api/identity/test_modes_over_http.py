"""Every way to say who is calling, against a whole router: what is let in, what is refused, what goes on."""

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memrouter.api.app import create_app
from memrouter.api.identity.api_key import ApiKey, hash_secret, new_secret, write_key
from memrouter.api.identity.key_file import KeyFile
from memrouter.api.identity.key_state import KeyState
from memrouter.clock import SystemClock
from memrouter.config.settings import Listener
from memrouter.errors import ConfigError
from memrouter.models.turn import Permission
from memrouter.testing.upstream import Answer, completion_chunks

from .gateway import OPEN_ROUTES, Gateway, running_gateway
from .issuer import AUDIENCE, ISSUER, jwk, jwks, rsa_key, running_issuer, token

RNG = random.Random(5)
HEADER = "x-authz-user-id"
CHAT_ROUTE = ("POST", "/v1/chat/completions")


def made(**fields: Any) -> tuple[ApiKey, dict[str, str]]:
    """Return a key and the headers of its holder."""
    key_id, secret = new_secret(RNG)
    key = ApiKey(id=key_id, sha256=hash_secret(secret), created=datetime.now(UTC), **fields)
    return key, bearer(write_key(key_id, secret))


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def assert_refuses(gateway: Gateway, headers: dict[str, str], *, everywhere: bool = False) -> None:
    before = len(gateway.upstream.requests)
    routes = await gateway.routes() if everywhere else [("GET", "/v1/memory"), CHAT_ROUTE]
    assert set(routes) >= {("GET", "/v1/memory"), CHAT_ROUTE}
    for method, path in routes:
        answer = await gateway.client.request(method, path, headers=headers)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"].startswith('Bearer realm="memrouter"')
        assert answer.json()["error"]["type"] == "authentication_error"
        for sent in headers.values():
            assert sent.removeprefix("Bearer ") not in answer.text
    assert len(gateway.upstream.requests) == before


async def assert_keeps_users_apart(gateway: Gateway, alice: dict[str, str], bob: dict[str, str]) -> None:
    assert (await gateway.remember(alice, "Alice's canary is called Figaro.")).status_code == 201
    assert (await gateway.remember(bob, "Bob's canary is called Tweety.")).status_code == 201
    assert await gateway.contents(alice) == ["Alice's canary is called Figaro."]
    assert await gateway.contents(bob) == ["Bob's canary is called Tweety."]
    answer = await gateway.chat(alice, user="bob", metadata={"user_id": "bob"})
    assert (answer.status_code, answer.headers["x-memory-status"]) == (200, "used")
    sent = gateway.upstream.requests[-1].body.decode()
    assert "Figaro" in sent
    assert "Tweety" not in sent
    listed = await gateway.client.get("/v1/memory", params={"user_id": "bob"}, headers=alice)
    assert listed.status_code == 400


async def test_api_keys_in_the_store_name_users_and_nobody_else_comes_in(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, auth={"mode": "api_key", "api_keys": {"cache": 0.001}}) as gateway:
        assert gateway.runtime.state is not None
        keys = KeyState(gateway.runtime.state, clock=SystemClock())
        (first, alice), (second, bob) = made(user="alice"), made(user="bob")
        await keys.add(first)
        await keys.add(second)
        await assert_keeps_users_apart(gateway, alice, bob)
        await assert_refuses(gateway, {}, everywhere=True)
        for wrong in (bearer("sk-other"), bearer(alice["authorization"][7:-1]), made(user="alice")[1]):
            await assert_refuses(gateway, wrong)
        for path in OPEN_ROUTES:
            assert (await gateway.client.get(path)).status_code == 200
        assert await gateway.contents({"x-api-key": alice["authorization"].removeprefix("Bearer ")})
        assert (await gateway.client.get("/v1/models", headers=alice)).status_code == 200
        assert await keys.remove(first.id)
        await assert_refuses(gateway, alice, everywhere=True)
        assert await gateway.contents(bob)
        ready = (await gateway.client.get("/ready")).json()
        assert ready["checks"]["identity"]["status"] == "ok"


@pytest.mark.parametrize("mode", ["api_key", "trusted_header"])
async def test_a_key_of_this_router_never_reaches_a_model_server(tmp_path: Path, mode: str) -> None:
    file = tmp_path / "keys.yaml"
    key, alice = made(user="alice")
    text = alice["authorization"].removeprefix("Bearer ")
    await KeyFile(file).add(key)
    async with running_gateway(tmp_path, auth={"mode": mode, "api_keys": {"file": str(file)}}) as gateway:
        gateway.upstream.script(Answer.stream(*completion_chunks("Mi", "so")))
        tries = [
            (alice, {"stream": True}),
            ({"x-api-key": text, "authorization": "Bearer of-the-model-server"}, {}),
            ({**alice, "x-api-key": "of-the-model-server", "x-copy": f"key={text[:-9]}", "cookie": f"k={text}"}, {}),
        ]
        for headers, fields in tries:
            assert (await gateway.chat(headers, **fields)).status_code == 200
        assert [key.id in repr(received.headers) for received in gateway.upstream.requests] == [False] * 3
        assert [received.header("authorization") for received in gateway.upstream.requests] == [
            None, "Bearer of-the-model-server", None,
        ]  # fmt: skip
        assert gateway.upstream.requests[2].header("x-api-key") == "of-the-model-server"


async def test_a_stream_goes_on_unchanged_with_a_key(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    key, alice = made(user="alice")
    await KeyFile(file).add(key)
    async with running_gateway(tmp_path, auth={"mode": "api_key", "api_keys": {"file": str(file)}}) as gateway:
        chunks = completion_chunks("Your cat ", "is Miso.")
        gateway.upstream.script(Answer.stream(*chunks))
        answer = await gateway.chat(alice, stream=True)
        assert (answer.status_code, answer.content) == (200, b"".join(chunks))


async def test_a_service_acts_for_the_users_that_its_key_allows(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    everybody, all_users = made(service=True)
    team, some_users = made(service=True, acts_for=("team-*", "carol"))
    for key in (everybody, team):
        await KeyFile(file).add(key)
    async with running_gateway(tmp_path, auth={"mode": "api_key", "api_keys": {"file": str(file)}}) as gateway:
        await assert_keeps_users_apart(gateway, {**all_users, HEADER: "alice"}, {**all_users, HEADER: "bob"})
        for user in ("team-", "team-blue", "carol"):
            assert await gateway.contents({**some_users, HEADER: user}) == []
        for user in ("alice", "team", "carol2", "Team-blue"):
            refused = await gateway.client.get("/v1/memory", headers={**some_users, HEADER: user})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
            assert user not in refused.text
        unnamed = await gateway.client.get("/v1/memory", headers=all_users)
        assert (unnamed.status_code, unnamed.json()["error"]["param"]) == (401, HEADER)
        assert (await gateway.chat(all_users)).headers["x-memory-status"] == "missing"


async def test_a_key_of_a_user_cannot_be_another_user_or_leave_its_project(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    (free, anywhere), (bound, at_work) = made(user="alice"), made(user="alice", project="work")
    for key in (free, bound):
        await KeyFile(file).add(key)
    async with running_gateway(tmp_path, auth={"mode": "api_key", "api_keys": {"file": str(file)}}) as gateway:
        await gateway.remember(at_work, "Figaro sings on Fridays at work.")
        assert await gateway.contents(anywhere) == []
        assert await gateway.contents({**anywhere, "x-authz-project-id": "work"})
        assert await gateway.contents({**at_work, HEADER: "alice", "x-authz-project-id": "work"})
        for header, value in ((HEADER, "bob"), ("x-authz-project-id", "home")):
            for path in ("/v1/memory", "/v1/memory/stats"):
                answer = await gateway.client.get(path, headers={**at_work, header: value})
                assert (answer.status_code, answer.json()["error"]["param"]) == (403, header)


async def test_scopes_open_some_routes_and_only_operators_see_protected_metrics(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    holders = {}
    for scope in Permission:
        key, holders[scope] = made(user="alice", scopes=(scope,))
        await KeyFile(file).add(key)
    auth = {"mode": "api_key", "api_keys": {"file": str(file)}, "protect_metrics": True}
    async with running_gateway(tmp_path, auth=auth) as gateway:
        paths = {"/v1/models": Permission.CHAT, "/v1/memory": Permission.MEMORY, "/metrics": Permission.OPERATOR}
        for path, needed in paths.items():
            assert (await gateway.client.get(path)).status_code == 401
            for scope, headers in holders.items():
                status = (await gateway.client.get(path, headers=headers)).status_code
                assert status == (200 if scope is needed else 403), (path, scope)
        assert (await gateway.chat(holders[Permission.MEMORY])).status_code == 403
        assert gateway.upstream.requests == []


async def test_tokens_of_the_issuer_name_users(tmp_path: Path) -> None:
    key = rsa_key()
    async with running_issuer(jwks(jwk(key, "k1"))) as issuer:
        jwt = {"issuer": ISSUER, "audience": [AUDIENCE], "jwks_url": issuer.url}
        async with running_gateway(tmp_path, auth={"mode": "jwt", "jwt": jwt}) as gateway:
            alice, bob = (bearer(token(key, headers={"kid": "k1"}, sub=name)) for name in ("alice", "bob"))
            await assert_keeps_users_apart(gateway, alice, bob)
            assert issuer.fetched == 1
            assert "authorization" not in {name.decode().lower() for name, _ in gateway.upstream.requests[-1].headers}
            assert token(key) not in repr(gateway.upstream.requests[-1].headers)
            await assert_refuses(gateway, {}, everywhere=True)
            unfit = {"x-api-key": alice["authorization"].removeprefix("Bearer ")}
            for wrong in (bearer(token(key, headers={"kid": "k1"}, exp=1)), bearer("x"), unfit, {HEADER: "alice"}):
                await assert_refuses(gateway, wrong)
            in_query = await gateway.client.get("/v1/models", params={"access_token": alice["authorization"][7:]})
            assert in_query.status_code == 401
            assert (await gateway.client.get("/v1/memory", headers={**alice, HEADER: "bob"})).status_code == 403
            chunks = completion_chunks("Mi", "so")
            gateway.upstream.script(Answer.stream(*chunks))
            assert (await gateway.chat(alice, stream=True)).content == b"".join(chunks)


async def test_without_an_issuer_to_ask_the_router_starts_and_says_so(tmp_path: Path) -> None:
    async with running_issuer(b"") as issuer:
        issuer.status = 503
        jwt = {"issuer": ISSUER, "audience": [AUDIENCE], "jwks_url": issuer.url}
        async with running_gateway(tmp_path, auth={"mode": "jwt", "jwt": jwt}) as gateway:
            answer = await gateway.client.get("/v1/memory", headers=bearer(token(rsa_key())))
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "keys_unavailable")
            assert "retry-after" in answer.headers
            check = (await gateway.client.get("/ready")).json()["checks"]["identity"]
            assert (check["status"], "status 503" in check["detail"]) == ("degraded", True)


async def test_a_user_in_the_body_is_believed_in_development_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_gateway(tmp_path) as gateway:
        assert (await gateway.remember({HEADER: "alice"}, "My cat is called Miso.")).status_code == 201
        assert (await gateway.chat({}, user="alice")).headers["x-memory-status"] == "missing"
        assert "trust_body_user" not in (await gateway.client.get("/ready")).text
    assert "trust_body_user" not in caplog.text
    async with running_gateway(tmp_path, auth={"trust_body_user": True}) as gateway:
        assert (await gateway.chat({}, user="alice")).headers["x-memory-status"] == "used"
        assert (await gateway.chat({HEADER: "bob"}, user="alice")).headers["x-memory-status"] == "missing"
        for odd in (None, 7, "", {"id": "alice"}, ["alice"]):
            assert (await gateway.chat({}, user=odd)).headers["x-memory-status"] == "missing"
        assert (await gateway.chat({}, user="a" * 257)).json()["error"]["param"] == "user"
        assert (await gateway.client.get("/v1/memory")).status_code == 401
        ready = (await gateway.client.get("/ready")).json()
        assert ready["status"] == "degraded"
        assert "UNSAFE" in ready["checks"]["identity"]["detail"]
        create_app(gateway.runtime, Listener(address="192.0.2.1"))
    assert "UNSAFE" in caplog.text
    assert "answers on 192.0.2.1, and only this machine is in global.auth.trusted_proxies" in caplog.text


async def test_the_description_offers_each_scheme_of_the_mode(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, auth={"mode": "api_key"}) as gateway:
        document = (await gateway.client.get("/openapi.json")).json()
    for method, path in (("post", "/v1/chat/completions"), ("get", "/v1/memory"), ("get", "/v1/models")):
        assert document["paths"][path][method]["security"] == [{"api_key": []}, {"api_key_header": []}]


async def test_keys_in_the_store_need_a_store(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="memrouter keys create"):
        async with running_gateway(tmp_path, memory=False, auth={"mode": "api_key"}):
            pass


async def test_too_many_requests_of_a_user_are_refused_and_others_are_not(tmp_path: Path) -> None:
    limits = {"requests_per_minute": 2, "burst": 2}
    async with running_gateway(tmp_path, limits=limits) as gateway:
        alice, bob = {HEADER: "alice"}, {HEADER: "bob"}
        assert [(await gateway.chat(alice)).status_code for _ in range(3)] == [200, 200, 429]
        refused = await gateway.client.get("/v1/memory", headers=alice)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert (await gateway.client.get("/v1/memory", headers=bob)).status_code == 200
        assert [(await gateway.chat({})).status_code for _ in range(3)] == [200, 200, 429]
        metrics = (await gateway.client.get("/metrics")).text
        assert 'memrouter_rate_limited_total{limit="requests"} 3.0' in metrics
        assert "alice" not in metrics


async def test_too_many_bytes_of_a_user_are_paid_off_before_the_next_request(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, limits={"body_bytes_per_minute": 1000}) as gateway:
        alice = {HEADER: "alice"}
        assert (await gateway.remember(alice, "x" * 2500)).status_code == 201
        refused = await gateway.client.get("/v1/memory", headers=alice)
        assert (refused.status_code, 60 < int(refused.headers["retry-after"]) < 120) == (429, True)
        assert await gateway.contents({HEADER: "bob"}) == []


async def test_web_pages_of_listed_origins_may_read_answers_and_others_not(tmp_path: Path) -> None:
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    async with running_gateway(tmp_path) as gateway:
        closed = await gateway.client.options("/v1/memory", headers=asked)
        assert closed.status_code == 405
        assert [name for name in closed.headers if name.startswith("access-control")] == []
    async with running_gateway(tmp_path, server={"cors": {"allow_origins": ["https://app.example"]}}) as gateway:
        asked["access-control-request-headers"] = "authorization, x-disable-router-memory"
        opened = await gateway.client.options("/v1/memory", headers=asked)
        assert opened.status_code == 200
        assert opened.headers["access-control-allow-origin"] == "https://app.example"
        assert "x-request-id" in opened.headers
        answer = await gateway.client.get("/v1/models", headers={"origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "x-memory-status" in answer.headers["access-control-expose-headers"]
        other = await gateway.client.get("/v1/models", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
