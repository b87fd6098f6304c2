"""Two routers on one Valkey keep one memory of what is said to both, and nothing of what was deleted."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest_asyncio

from memrouter.stores.valkey.connection import Connection
from memrouter.testing.upstream import ScriptedUpstream
from memrouter.testing.valkey import ValkeyServer

from .conftest import new_user
from .servers import Caller, running_router
from .valkey_cases import asks, hot_cache, on_valkey

FACT = "My canary is called Figaro and I bought it in Porto last spring."


@pytest_asyncio.fixture(loop_scope="session")
async def model() -> ScriptedUpstream:
    return ScriptedUpstream()


async def outcome(caller: Caller) -> str:
    answer = await caller.request("POST", "/v1/memory", json.dumps({"content": FACT}).encode())
    assert answer.status == 201, answer.body
    return str(answer.json()["outcomes"][0]["outcome"])


async def test_two_routers_on_one_server_agree_on_what_is_kept(tmp_path: Path, model: ScriptedUpstream) -> None:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
    async with model, ValkeyServer() as valkey:
        config = on_valkey(valkey, model, **hot_cache(valkey))
        async with (
            running_router(tmp_path / "left", config) as left,
            running_router(tmp_path / "right", config) as right,
        ):
            routers = (left, right)
            await _identical_writes_at_once_give_one_memory([router.caller(new_user()) for router in routers])
            user = new_user()
            await _what_one_deletes_is_gone_from_the_server([router.caller(user) for router in routers], valkey)


async def _identical_writes_at_once_give_one_memory(callers: list[Caller]) -> None:
    for _ in range(4):
        user = new_user()
        both = [caller.router.caller(user) for caller in callers]
        outcomes = await asyncio.gather(*(outcome(both[number % 2]) for number in range(5)))
        assert sorted(outcomes) == ["known"] * 4 + ["stored"]
        assert [memory["content"] for memory in await both[0].memories()] == [FACT]
        said = f"{FACT} It sings from six in the morning on."
        await asyncio.gather(*(both[number % 2].having(x_session_id="monday").chat(said) for number in range(5)))
        for caller in both:
            fence = await caller.stored_meanwhile()
        assert [memory["content"] for memory in fence if "sings" in memory["content"]] == [f"Q: {said}\nA: ok"]


async def _what_one_deletes_is_gone_from_the_server(callers: list[Caller], valkey: ValkeyServer) -> None:
    left, right = callers
    word = f"Figaro{(left.user or '')[-12:]}"
    session = left.having(x_session_id="monday")
    await session.chat(f"My canary is called {word} and I bought it in Porto last spring.")
    (memory,) = await left.stored(1)
    for caller in callers:
        for _ in range(2):
            assert await asks(caller, "How is my canary called?") == "used"
    kept = await keys_with(valkey, word, memory["id"])
    assert any(memory["id"].encode() in key for key in kept)
    assert len(kept) >= 3, "the memory, its place among the owner's, and an answer in the hot cache"
    gone = await right.request("DELETE", f"/v1/memory?conversation_of={memory['id']}")
    assert gone.json()["deleted"] == 1
    assert await keys_with(valkey, word, memory["id"]) == []
    assert await asks(left, "How is my canary called?") == "missing"


async def keys_with(valkey: ValkeyServer, *texts: str) -> list[bytes]:
    """Return the keys of a server in whose name or value a text stands."""
    # In a loop that ends: the client hears its server in the first loop of a process, for as long as that is open.
    return await asyncio.to_thread(asyncio.run, _keys_with(valkey, *texts))


async def _keys_with(valkey: ValkeyServer, *texts: str) -> list[bytes]:
    connection = await Connection.open(valkey.settings())
    try:
        names = {name async for part in connection.scan("*", kind=None) for name in part}
        values = {name: name + repr(await _value(connection, name)).encode() for name in names}
        return sorted(name for name, value in values.items() if any(text.encode() in value for text in texts))
    finally:
        await connection.aclose()


async def _value(connection: Connection, name: bytes) -> Any:
    match await connection.run(["TYPE", name]):
        case b"string":
            return await connection.run(["GET", name])
        case b"hash":
            return await connection.run(["HGETALL", name])
        case b"zset":
            return await connection.run(["ZRANGE", name, 0, -1])
        case b"set":
            return await connection.run(["SMEMBERS", name])
        case kind:
            raise AssertionError(f"a key of type {kind!r} cannot be looked into")
