"""Who is let in, in each way of knowing callers, and what other pages, names and browsers cannot do."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from memrouter.api.identity.api_key import ApiKey, hash_secret, new_secret, write_key
from memrouter.api.identity.key_state import KeyState
from memrouter.config.auth import AuthSettings
from memrouter.config.inspector import InspectorSettings
from memrouter.config.settings import Listener
from memrouter.errors import Forbidden, InvalidRequest
from memrouter.inspector.mount import is_switched_on
from memrouter.inspector.security import Doorkeeper
from memrouter.inspector.session import COOKIE, MAX_COOKIE_CHARS, Session
from memrouter.inspector.sign_in import local_path
from memrouter.models.turn import Permission

from .in_process import SAME_ORIGIN, Connect, Inspected, inspected, send, sign_in, token_of

SECRET = "s" * 32
EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound to it
ISSUER = "https://issuer.example"


async def new_key(opened: Inspected, **fields: Any) -> tuple[ApiKey, str]:
    """Keep a key and return it with its text."""
    key_id, secret = new_secret(Random(3))
    state, clock = opened.runtime.state, opened.runtime.clock
    assert state is not None
    made = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    key = ApiKey(id=key_id, sha256=hash_secret(secret), created=made, scopes=(Permission.MEMORY,), **fields)
    await KeyState(state, clock=clock).add(key)
    return key, write_key(key_id, secret)


def cookie_of(answer: httpx.Response) -> str:
    return answer.headers["set-cookie"]


# Headers of every answer


@pytest.mark.parametrize("path", ["/ui/sign-in", "/ui/memories", "/ui/nowhere", "/ui/static/inspector.css", "/ui"])
async def test_every_answer_keeps_browsers_on_a_short_leash(desk: Inspected, connect: Connect, path: str) -> None:
    answer = await (await connect(desk, x_authz_user_id="canary-anna")).get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["referrer-policy"] == "same-origin"
    if "static" not in path:
        assert answer.headers["cache-control"] == "no-store"
        assert "<style" not in answer.text
        assert re.search(r"\sstyle=|\son[a-z]+=|<script(?! src=\"/ui/static/)", answer.text) is None


async def test_style_sheets_are_kept_for_ever_under_the_name_of_their_content(
    desk: Inspected, connect: Connect
) -> None:
    client = await connect(desk)
    found = re.search(r'href="(/ui/static/inspector\.css\?v=\w+)"', (await client.get("/ui/sign-in")).text)
    assert found is not None
    answer = await client.get(found[1])
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = await client.get(found[1], headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await client.get("/ui/static/inspector.css?v=old")).headers["cache-control"] == "no-cache"
    for name in ("../app.py", "%2e%2e/app.py", "nothing.css", ""):
        assert (await client.get(f"/ui/static/{name}")).status_code == 404


# Signing in


async def test_a_proxy_that_names_the_user_is_enough(desk: Inspected, connect: Connect) -> None:
    client = await connect(desk, x_authz_user_id="canary-anna")
    answer = await client.get("/ui/memories")
    assert answer.status_code == 200
    assert "canary-anna" in answer.text
    assert "Sign out" not in answer.text


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(desk: Inspected, connect: Connect) -> None:
    plain = cookie_of(await sign_in(await connect(desk), user="canary-anna"))
    assert "HttpOnly" in plain
    assert "Path=/ui" in plain
    assert "SameSite=strict" in plain
    assert "Secure" not in plain
    assert "Max-Age" not in plain
    over_tls = await connect(desk, x_authz_user_id="canary-anna", x_forwarded_proto="https")
    assert "Secure" in cookie_of(await over_tls.get("/ui/memories"))


async def test_each_sign_in_begins_a_session_of_its_own(desk: Inspected, connect: Connect) -> None:
    client = await connect(desk)
    await client.get("/ui/sign-in")
    before = client.cookies[COOKIE]
    await sign_in(client, user="canary-anna")
    after = client.cookies[COOKIE]
    assert before.partition("~")[0] != after.partition("~")[0]


async def test_a_name_is_believed_only_where_the_header_would_be(desk: Inspected, connect: Connect) -> None:
    here = await connect(desk)
    assert (await sign_in(here, user="canary-anna")).status_code == 303
    assert (await here.get("/ui/memories")).status_code == 200
    held = dict(here.cookies)
    elsewhere = await connect(desk, peer="192.0.2.7")
    elsewhere.cookies.update(held)
    refused = await elsewhere.get("/ui/memories")
    assert refused.status_code == 401
    assert "canary-anna" not in refused.text
    assert 'name="user"' not in refused.text


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "via", "x-real-ip", "x-forwarded-proto"])
async def test_a_name_is_not_believed_through_a_proxy_on_this_machine(
    desk: Inspected, connect: Connect, header: str
) -> None:
    here = await connect(desk)
    await sign_in(here, user="canary-anna")
    through = await connect(desk)
    through.cookies.update(dict(here.cookies))
    assert (await through.get("/ui/memories")).status_code == 200
    assert (await through.get("/ui/memories", headers={header: "192.0.2.7"})).status_code == 401


async def test_a_name_in_a_cookie_never_beats_what_a_proxy_says(desk: Inspected, connect: Connect) -> None:
    here = await connect(desk)
    await sign_in(here, user="canary-eve")
    answer = await here.get("/ui/memories", headers={"x-authz-user-id": "canary-anna"})
    assert "canary-anna" in answer.text
    assert "canary-eve" not in answer.text


async def test_a_name_is_believed_from_trusted_proxies_only_where_that_is_configured(
    tmp_path: Path, connect: Connect
) -> None:
    async with inspected(
        tmp_path,
        listener=Listener(address=EVERYWHERE),
        auth={"trusted_proxies": ["192.0.2.0/24"], "allowed_hosts": ["memrouter.example"]},
        inspector={"enabled": True, "sign_in_by_name": "trusted"},
    ) as opened:
        inside = await connect(opened, peer="192.0.2.7", host="memrouter.example")
        assert (await sign_in(inside, user="canary-anna")).status_code == 303
        outside = await connect(opened, peer="198.51.100.7", host="memrouter.example")
        assert (await sign_in(outside, user="canary-anna")).status_code == 400


async def test_nothing_about_memories_is_open_to_nobody(desk: Inspected, connect: Connect) -> None:
    nobody = await connect(desk, peer="192.0.2.7")
    token = token_of(await nobody.get("/ui/sign-in"))
    for path in ("/ui/memories", "/ui/memory?id=x", "/ui/quarantine", "/ui/why?q=x", "/ui/data", "/ui/data/export"):
        assert (await nobody.get(path)).status_code == 401, path
    for path in ("/ui/memory/edit", "/ui/memory/delete", "/ui/memory/pin", "/ui/data/forget", "/ui/data/import"):
        sent = await nobody.post(path, data={"csrf": token}, headers=SAME_ORIGIN)
        assert sent.status_code == 401, path


async def test_keys_open_the_pages_and_a_revoked_one_closes_them_at_once(tmp_path: Path, connect: Connect) -> None:
    async with inspected(tmp_path, auth={"mode": "api_key", "api_keys": {"cache": 0.001}}) as opened:
        key, text = await new_key(opened, user="canary-anna")
        client = await connect(opened, peer="192.0.2.7", host="memrouter.example")
        assert (await client.get("/ui/memories")).status_code == 401
        wrong = await sign_in(client, key="mr_" + "a" * 12 + "_" + "0" * 64)
        assert wrong.status_code == 400
        assert "there is no such API key" in wrong.text
        assert "0" * 64 not in wrong.text
        assert (await sign_in(client, key=text)).status_code == 303
        assert "canary-anna" in (await client.get("/ui/memories")).text
        assert opened.runtime.state is not None
        await KeyState(opened.runtime.state, clock=opened.runtime.clock).remove(key.id)
        answer = await client.get("/ui/memories")
        assert answer.status_code == 401
        assert "there is no such API key" in answer.text


async def test_the_key_of_a_service_names_whose_memories_it_shows(tmp_path: Path, connect: Connect) -> None:
    async with inspected(tmp_path, auth={"mode": "api_key"}) as opened:
        _, text = await new_key(opened, service=True, acts_for=("canary-*",))
        client = await connect(opened)
        assert (await sign_in(client, key=text)).status_code == 400
        assert (await sign_in(client, key=text, user="someone")).status_code == 400
        assert (await sign_in(client, key=text, user="canary-ben", project="boat")).status_code == 303
        page = (await client.get("/ui/memories")).text
        assert "canary-ben" in page
        assert "boat" in page


async def test_tokens_open_the_pages(tmp_path: Path, connect: Connect) -> None:
    settings = {"issuer": ISSUER, "audience": ["memrouter"], "secret": SECRET, "algorithms": ["HS256"]}
    async with inspected(tmp_path, auth={"mode": "jwt", "jwt": settings}) as opened:
        now = opened.runtime.clock.now_ms() // 1000
        claims = {"sub": "canary-anna", "iss": ISSUER, "aud": "memrouter", "exp": now + 60}
        client = await connect(opened, peer="192.0.2.7", host="memrouter.example")
        assert (await sign_in(client, key="not a token")).status_code == 400
        assert (await sign_in(client, key=jwt.encode({**claims, "exp": 1}, SECRET))).status_code == 400
        assert (await sign_in(client, key=jwt.encode(claims, SECRET))).status_code == 303
        assert "canary-anna" in (await client.get("/ui/memories")).text
        own = await client.get("/ui/memories", headers={"authorization": "Basic cHJveHk6cHJveHk="})
        assert own.status_code == 200


# Forms


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
    ],
)
async def test_a_form_of_another_page_does_nothing(desk: Inspected, connect: Connect, headers: dict[str, str]) -> None:
    client = await connect(desk, x_authz_user_id="canary-victim")
    made = await client.post("/v1/memory", content=json.dumps({"content": f"kept {headers}"}))
    memory = made.json()["memories"][0]["id"]
    token = token_of(await client.get("/ui/memories"))
    answer = await client.post("/ui/memory/delete", data={"csrf": token, "id": memory}, headers=headers)
    assert answer.status_code == 403
    assert (await client.get(f"/v1/memory/{memory}")).status_code == 200


async def test_a_form_without_the_token_of_its_session_does_nothing(desk: Inspected, connect: Connect) -> None:
    eve, anna = await connect(desk, x_authz_user_id="canary-eve"), await connect(desk, x_authz_user_id="canary-anna2")
    made = await anna.post("/v1/memory", content=b'{"content": "a canary in a tree"}')
    memory = made.json()["memories"][0]["id"]
    await anna.get("/ui/memories")
    of_eve = token_of(await eve.get("/ui/memories"))
    for token in ("", of_eve, "0" * 64, "\udc00"[:0]):
        answer = await anna.post("/ui/memory/delete", data={"csrf": token, "id": memory}, headers=SAME_ORIGIN)
        assert answer.status_code == 403
        assert "no longer valid" in answer.text
    assert (await send(anna, "/ui/memory/delete", id=memory)).status_code == 303
    assert (await anna.get(f"/v1/memory/{memory}")).status_code == 404


async def test_an_origin_that_is_ours_is_enough_without_the_newer_header(desk: Inspected, connect: Connect) -> None:
    client = await connect(desk, x_authz_user_id="canary-anna")
    token = token_of(await client.get("/ui/memories"))
    answer = await client.post(
        "/ui/theme", data={"csrf": token, "theme": "dark"}, headers={"origin": "http://127.0.0.1:8888"}
    )
    assert answer.status_code == 303


async def test_two_cookies_of_the_name_are_no_session(desk: Inspected, connect: Connect) -> None:
    client = await connect(desk)
    mine = Session("a" * 64, user="canary-anna").cookie()
    one = await client.get("/ui/memories", headers={"cookie": f"{COOKIE}={mine}"})
    two = await client.get("/ui/memories", headers={"cookie": f"{COOKIE}={mine}; x=y; {COOKIE}={mine}"})
    assert (one.status_code, two.status_code) == (200, 401)


async def test_an_address_takes_its_own_methods_only(desk: Inspected, connect: Connect) -> None:
    client = await connect(desk, x_authz_user_id="canary-anna")
    for method, path, allowed in (
        ("GET", "/ui/memory/pin", "POST"),
        ("POST", "/ui/memories", "GET, HEAD"),
        ("DELETE", "/ui/memories", "GET, HEAD"),
        ("OPTIONS", "/ui/memories/add", "GET, HEAD, POST"),
    ):
        answer = await client.request(method, path, headers=SAME_ORIGIN)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert (await client.head("/ui/memories")).status_code == 200


async def test_a_form_over_the_limit_is_refused(desk: Inspected, connect: Connect) -> None:
    client = await connect(desk, x_authz_user_id="canary-anna")
    assert (await send(client, "/ui/memories/add", content="x" * 400_000)).status_code == 413


@pytest.mark.parametrize("charset", ["punycode", "undefined", "hex", "utf-16", "no-such"])
async def test_a_form_in_whatever_character_set_is_refused_and_not_a_failure(
    desk: Inspected, connect: Connect, charset: str
) -> None:
    client = await connect(desk, x_authz_user_id="canary-anna")
    token = token_of(await client.get("/ui/data"))
    body = f'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{token}\r\n--x--\r\n'
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    answer = await client.post("/ui/data/import", content=body, headers={**SAME_ORIGIN, "content-type": kind})
    assert answer.status_code in (400, 403)


async def test_a_search_for_a_character_that_no_text_holds_shows_everything(desk: Inspected, connect: Connect) -> None:
    client = await connect(desk, x_authz_user_id="canary-anna")
    assert (await client.get("/ui/memories", params={"q": "\0"})).status_code == 200


# Where a browser thinks that it is


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8888", "127.0.0.1.evil.example", "", "a b", "[::"])
async def test_another_name_that_leads_to_this_machine_is_refused(desk: Inspected, connect: Connect, host: str) -> None:
    client = await connect(desk, x_authz_user_id="canary-anna")
    answer = await client.get("/ui/memories", headers={"host": host})
    assert answer.status_code == 403
    assert "global.auth.allowed_hosts" in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8888", "[::1]:8888", "127.9.9.9"])
async def test_names_of_this_machine_are_taken(desk: Inspected, connect: Connect, host: str) -> None:
    client = await connect(desk, x_authz_user_id="canary-anna")
    assert (await client.get("/ui/memories", headers={"host": host})).status_code == 200


def visit_from(peer: str, host: str, version: str = "1.1") -> Request:
    return Request(
        {"type": "http", "headers": [(b"host", host.encode())], "client": (peer, 1), "http_version": version}
    )


def test_a_proxy_that_speaks_as_browsers_never_do_is_seen() -> None:
    door = Doorkeeper(InspectorSettings(), auth=AuthSettings(), listener=Listener())
    assert door.believes_names(visit_from("127.0.0.1", "127.0.0.1:8888"))
    assert not door.believes_names(visit_from("127.0.0.1", "127.0.0.1:8888", version="1.0"))


def test_further_names_can_be_allowed_and_other_machines_may_use_any() -> None:
    auth = AuthSettings(allowed_hosts=("memrouter.example",))
    door = Doorkeeper(InspectorSettings(), auth=auth, listener=Listener())
    door.check_host(visit_from("127.0.0.1", "memrouter.example:8888"))
    door.check_host(visit_from("10.0.0.9", "whatever.example"))
    for peer in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        with pytest.raises(Forbidden):
            door.check_host(visit_from(peer, "whatever.example"))


def test_where_other_machines_may_sign_in_by_name_they_need_one_of_the_routers_names() -> None:
    auth = AuthSettings(trusted_proxies=("10.0.0.0/8",), allowed_hosts=("memrouter.example",))
    door = Doorkeeper(InspectorSettings(sign_in_by_name="trusted"), auth=auth, listener=Listener())
    door.check_host(visit_from("10.0.0.9", "10.0.0.1:8888"))
    door.check_host(visit_from("10.0.0.9", "memrouter.example:8888"))
    with pytest.raises(Forbidden):
        door.check_host(visit_from("10.0.0.9", "rebound.example:8888"))


@pytest.mark.parametrize(
    ("enabled", "address", "on"),
    [
        (None, "127.0.0.1", True),
        (None, "localhost", True),
        (None, "::1", True),
        (None, EVERYWHERE, False),
        (None, "10.1.2.3", False),
        (True, EVERYWHERE, True),
        (False, "127.0.0.1", False),
    ],
)
def test_listeners_have_the_inspector_where_only_this_machine_can_reach_it(
    enabled: bool | None, address: str, on: bool
) -> None:
    assert is_switched_on(InspectorSettings(enabled=enabled), Listener(address=address)) is on


# The cookie


@given(
    st.text(max_size=256).filter(lambda text: "\0" not in text and text.isprintable()),
    st.from_regex(r"[A-Za-z0-9._~+/-]{0,400}={0,2}", fullmatch=True).filter(lambda text: text.strip("=") or not text),
)
def test_a_session_comes_back_from_its_cookie_as_it_was(name: str, credential: str) -> None:
    session = Session("f" * 64, credential, user=name, project=name, groups=name)
    cookie = session.cookie() if len(name) < 80 else ""
    if cookie:
        assert Session.read([(b"cookie", f"a=b; {COOKIE}={cookie}; c=d".encode())]) == session


@given(st.binary(max_size=200))
def test_whatever_stands_in_the_cookie_is_a_session_or_none(cookie: bytes) -> None:
    Session.read([(b"cookie", COOKIE.encode() + b"=" + cookie)])


@given(st.text(max_size=100))
def test_no_text_but_the_token_proves_a_form(text: str) -> None:
    session = Session("f" * 64, "key", user="canary")
    assert session.proves(session.form_token())
    assert session.proves(text) is (text == session.form_token())


def test_a_token_is_bound_to_who_signed_in() -> None:
    tokens = {
        Session("f" * 64, *said).form_token()
        for said in (("k", "u"), ("k", "v"), ("ku", ""), ("", "ku"), ("", "", "k"))
    }
    assert len(tokens) == 5
    assert Session("e" * 64, "k", "u").form_token() not in tokens


@pytest.mark.parametrize("credential", ["a b", "a;b", "a\nb", "ä", "x" * MAX_COOKIE_CHARS])
def test_what_a_browser_would_not_keep_is_refused(credential: str) -> None:
    with pytest.raises(InvalidRequest):
        Session("f" * 64, credential).cookie()


@given(st.text(max_size=60))
def test_the_way_back_never_leaves_these_pages(text: str) -> None:
    path = local_path(text)
    assert path == "/ui" or path.startswith(("/ui/", "/ui?", "/ui#"))


@pytest.mark.parametrize(
    "text", ["//evil.example", "https://evil.example/ui/", "/ui/\\evil", "/uix", "/\t/evil", "", "javascript:alert(1)"]
)
def test_ways_to_elsewhere_lead_to_the_first_page(text: str) -> None:
    assert local_path(text) == "/ui/memories"
