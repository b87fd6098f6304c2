"""Hostile user ids over HTTP: each is one user, and none of them is another."""

import pytest

from memrouter.testing.upstream import ScriptedUpstream

from .servers import Router

IDS = (
    "*", "%", "_", "?", "-", "a", "b", "a|b", "a,b", "a b", "User", "user", "USER", "user.", "user/", "default",
    '"', "'", "''", '"quoted"', "' OR '1'='1", "'; DROP TABLE memories; --", "{", "}", "{braces}", "@owner:{*}",
    "(a)", "[a]", "a\\", "\\", "$where", "../user", "null", "None", "true", "0", "00", "naïve-用户-🙂",
    "u\u0308ser", "\u00fcser", "\u00a0user", "user\u200b", "\uff55\uff53\uff45\uff52", "x" * 256, "x" * 255, "語" * 256,
)  # fmt: skip


async def test_every_hostile_identity_sees_its_own_memories_only(router: Router, upstream: ScriptedUpstream) -> None:
    callers = [router.caller(identity) for identity in IDS]
    for number, caller in enumerate(callers):
        answer = await caller.chat(f"The canary number that belongs to me is K{number:03}Z, so keep it.")
        assert (answer.status, answer.memory) == (200, "missing"), f"identity {number}"
    for number, caller in enumerate(callers):
        contents = [memory["content"] for memory in await caller.stored(1)]
        assert len(contents) == 1
        assert f"K{number:03}Z" in contents[0]
    upstream.requests.clear()
    for number, caller in enumerate(callers):
        answer = await caller.chat("Which canary number belongs to me?")
        assert (answer.status, answer.memory, answer.headers["x-memory-count"]) == (200, "used", "1")
        received = upstream.requests[-1].body.decode()
        assert [n for n in range(len(IDS)) if f"K{n:03}Z" in received] == [number]


async def test_blanks_around_an_identity_are_not_part_of_it(router: Router) -> None:
    await router.caller(" \tcanary of the blanks ").remember("A canary that was said with blanks around the name.")
    assert len(await router.caller("canary of the blanks").memories()) == 1


async def test_an_empty_identity_is_nobody(router: Router, upstream: ScriptedUpstream) -> None:
    for empty in ("", " ", "\t"):
        answer = await router.caller(empty).chat("My canary is called Figaro and I bought it in Porto.")
        assert (answer.status, answer.memory) == (200, "missing")
        assert (await router.caller(empty).request("GET", "/v1/memory")).status == 401


@pytest.mark.parametrize("identity", ["x" * 257, "x" * 300, "語" * 300, "a\u0085b"])
async def test_an_impossible_identity_is_refused_by_name(
    router: Router, upstream: ScriptedUpstream, identity: str
) -> None:
    caller = router.caller(identity)
    for answer in (await caller.chat("What is my canary called?"), await caller.request("GET", "/v1/memory")):
        assert answer.status == 400
        assert answer.json()["error"]["param"] == "x-authz-user-id"
        assert identity not in answer.body.decode()
    assert upstream.requests == []


async def test_an_identity_that_is_not_utf8_is_refused(router: Router) -> None:
    answer = await router.exchange(
        b"GET /v1/memory HTTP/1.1\r\nhost: router\r\nx-authz-user-id: a\xff\r\nconnection: close\r\n\r\n"
    )
    assert answer.startswith("HTTP/1.1 400 ")
    assert '"code":"invalid_encoding"' in answer
