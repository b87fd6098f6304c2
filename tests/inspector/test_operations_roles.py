"""Who sees the pages of operators: in every way to say who is calling, nobody but operators."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import jwt
import pytest
import pytest_asyncio

from memrouter.api.identity.api_key import ApiKey, hash_secret, new_secret, write_key
from memrouter.api.identity.key_state import KeyState
from memrouter.clock import SystemClock
from memrouter.config.settings import Listener
from memrouter.models.turn import Permission

from .in_process import SAME_ORIGIN, Connect, Inspected, send, sign_in
from .operated import FORMS, PAGES, as_operator, operated

ROOM = "/ui/operations"
ISSUER, AUDIENCE, SHARED = "https://issuer.example/", "memrouter", "0123456789abcdef" * 4


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def router(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Inspected]:
    async with operated(tmp_path_factory.mktemp("roles")) as opened:
        yield opened


@pytest.mark.parametrize("page", PAGES)
async def test_operators_alone_see_a_page(router: Inspected, connect: Connect, page: str) -> None:
    operator = await as_operator(connect, router)
    assert (await operator.get(ROOM + page)).status_code == 200
    for headers in ({"x_authz_user_id": "ulf"}, {"x_authz_user_id": "ulf", "x_authz_user_groups": "other"}):
        refused = await (await connect(router, **headers)).get(ROOM + page)
        assert refused.status_code == 403
        assert "operator" in refused.text
        assert "Dry runs" not in refused.text
    nobody = await (await connect(router)).get(ROOM + page)
    assert nobody.status_code == 403
    stranger = await (await connect(router, peer="203.0.113.5", x_authz_user_id="olga", x_authz_user_groups="ops")).get(
        ROOM + page
    )
    assert stranger.status_code == 403


@pytest.mark.parametrize("page", FORMS)
async def test_operators_alone_send_a_form(router: Inspected, connect: Connect, page: str) -> None:
    ordinary = await connect(router, x_authz_user_id="ulf")
    refused = await send(ordinary, ROOM + page, kind="prune", user="ulf", message="hello", model="m")
    assert refused.status_code == 403


@pytest.mark.parametrize("page", FORMS)
async def test_a_form_of_another_page_is_refused(router: Inspected, connect: Connect, page: str) -> None:
    operator = await as_operator(connect, router)
    await operator.get(ROOM)
    without_token = await operator.post(ROOM + page, data={"kind": "prune"}, headers=SAME_ORIGIN)
    assert without_token.status_code == 403
    elsewhere = await operator.post(ROOM + page, data={"kind": "prune"}, headers={"sec-fetch-site": "cross-site"})
    assert elsewhere.status_code == 403


async def test_only_operators_have_the_link(router: Inspected, connect: Connect) -> None:
    ordinary = await (await connect(router, x_authz_user_id="ulf")).get("/ui/memories")
    assert f'href="{ROOM}"' not in ordinary.text
    operator = await (await as_operator(connect, router)).get("/ui/memories")
    assert f'href="{ROOM}"' in operator.text


async def test_an_api_key_needs_the_scope_of_an_operator(tmp_path: Path, connect: Connect) -> None:
    async with operated(tmp_path, auth={"mode": "api_key", "api_keys": {"cache": 0.001}}) as router:
        assert router.runtime.state is not None
        keys, texts = KeyState(router.runtime.state, clock=SystemClock()), {}
        for name, scopes in {"plain": frozenset({Permission.MEMORY}), "operator": frozenset(Permission)}.items():
            key_id, secret = new_secret(Random(name))
            key = ApiKey(
                id=key_id, sha256=hash_secret(secret), created=datetime.now(UTC), user="olga", scopes=tuple(scopes)
            )
            await keys.add(key)
            texts[name] = write_key(key_id, secret)
        assert (await (await connect(router)).get(ROOM)).status_code == 401
        for name, status in (("plain", 403), ("operator", 200)):
            browser = await connect(router)
            assert (await sign_in(browser, key=texts[name])).status_code == 303
            assert (await browser.get(ROOM)).status_code == status
            program = await connect(router, authorization=f"Bearer {texts[name]}")
            assert (await program.get(ROOM)).status_code == status


async def test_a_token_needs_the_group_of_an_operator(tmp_path: Path, connect: Connect) -> None:
    pytest.importorskip("jwt")
    auth = {
        "mode": "jwt",
        "operator_groups": ["ops"],
        "jwt": {
            "issuer": ISSUER,
            "audience": [AUDIENCE],
            "secret": SHARED,
            "algorithms": ["HS256"],
            "groups_claim": "groups",
        },
    }
    async with operated(tmp_path, auth=auth) as router:
        for groups, status in (("staff", 403), ("staff,ops", 200)):
            claims: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "olga", "exp": 4_000_000_000}
            token = jwt.encode(claims | {"groups": groups}, SHARED, "HS256")
            browser = await connect(router)
            assert (await sign_in(browser, key=token)).status_code == 303
            assert (await browser.get(ROOM)).status_code == status


async def test_on_a_laptop_whoever_signs_in_by_name_is_the_operator(tmp_path: Path, connect: Connect) -> None:
    async with operated(tmp_path, auth={}) as router:
        browser = await connect(router)
        assert (await sign_in(browser, user="me")).status_code == 303
        assert (await browser.get(ROOM)).status_code == 200


async def test_whom_a_proxy_names_is_no_operator_where_none_are_configured(tmp_path: Path, connect: Connect) -> None:
    async with operated(tmp_path, auth={}) as router:
        named = await connect(router, x_authz_user_id="me", x_authz_user_groups="ops")
        assert (await named.get(ROOM)).status_code == 403
        signed_in = await connect(router)
        await sign_in(signed_in, user="me")
        both = await signed_in.get(ROOM, headers={"x-authz-user-id": "somebody"})
        assert both.status_code == 403
        forwarded = await signed_in.get(ROOM, headers={"x-forwarded-for": "203.0.113.5"})
        assert forwarded.status_code in (401, 403)


async def test_from_another_machine_a_name_makes_no_operator(tmp_path: Path, connect: Connect) -> None:
    auth = {"trusted_proxies": ["10.0.0.0/8", "127.0.0.0/8"]}
    listener = Listener(address="0.0.0.0")  # noqa: S104 - as on a server
    async with operated(tmp_path, auth=auth, sign_in_by_name="trusted", listener=listener) as router:
        browser = await connect(router, peer="10.0.0.9")
        assert (await sign_in(browser, user="me")).status_code == 303
        assert (await browser.get("/ui/memories")).status_code == 200
        assert (await browser.get(ROOM)).status_code == 403


async def test_where_operators_are_configured_a_name_alone_is_not_enough(router: Inspected, connect: Connect) -> None:
    browser = await connect(router)
    assert (await sign_in(browser, user="me")).status_code == 303
    assert (await browser.get(ROOM)).status_code == 403
    member = await connect(router)
    assert (await sign_in(member, user="me", groups="ops")).status_code == 303
    assert (await member.get(ROOM)).status_code == 200
