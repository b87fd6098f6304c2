"""Two routers on one server: no update is lost and no answer is stale."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from memrouter.testing.upstream import ScriptedUpstream
from memrouter.testing.valkey import ValkeyServer

from .conftest import new_user
from .servers import Caller, Router, running_router
from .valkey_cases import asks, every_content, hot_cache, on_valkey

ROUNDS = 20


PLAIN, CACHED = (False, 2000), (True, 2000)
"""Two routers without and with a hot cache, that rank in the working set."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def model() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def routers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, model: ScriptedUpstream
) -> AsyncIterator[tuple[Router, Router]]:
    """Two routers on a server of their own; the parameter says whether they have a hot cache, and their scan limit."""
    cached, scan_limit = request.param
    async with ValkeyServer() as valkey:
        cache = hot_cache(valkey) if cached else {}
        config = on_valkey(valkey, model, limits={"scan_limit": scan_limit}, **cache)
        left, right = (tmp_path_factory.mktemp(name) for name in ("left", "right"))
        async with running_router(left, config) as one, running_router(right, config) as other:
            yield one, other


def as_user(router: Router, user: str) -> Caller:
    return router.caller(user)


@pytest.mark.parametrize(
    "routers",
    [PLAIN, CACHED, (False, 0), (True, 0)],
    ids=["working-set-plain", "working-set-hot-cache", "vector-search-plain", "vector-search-hot-cache"],
    indirect=True,
)
async def test_a_write_through_one_router_is_seen_by_the_other(
    routers: tuple[Router, Router], model: ScriptedUpstream
) -> None:
    user = new_user()
    for number in range(ROUNDS):
        here, there = (as_user(router, user) for router in (routers if number % 2 else routers[::-1]))
        name = f"Canary{number:03}x"
        await here.remember(f"My canary is called {name} since today.")
        for caller in (there, here):
            assert await asks(caller, "How is my canary called?") == "used"
            assert name in received(model), f"round {number}: the newest memory is missing"
        (memory,) = await here.memories()
        answer = await there.request("DELETE", f"/v1/memory/{memory['id']}")
        assert answer.status == 200, answer.body
        for caller in (here, there):
            assert await asks(caller, "How is my canary called?") == "missing"


@pytest.mark.parametrize("routers", [PLAIN, CACHED], ids=["plain", "hot-cache"], indirect=True)
async def test_an_edit_through_one_router_is_seen_by_the_other(
    routers: tuple[Router, Router], model: ScriptedUpstream
) -> None:
    user = new_user()
    left, right = (as_user(router, user) for router in routers)
    await left.remember("My canary is called Nobody.")
    (memory,) = await left.memories()
    for number in range(ROUNDS):
        here, there = (left, right) if number % 2 else (right, left)
        name = f"Canary{number:03}x"
        body = json.dumps({"content": f"My canary is called {name}."}).encode()
        assert (await here.request("PATCH", f"/v1/memory/{memory['id']}", body)).status == 200
        assert await asks(there, "How is my canary called?") == "used"
        assert name in received(model)


@pytest.mark.parametrize("routers", [PLAIN], ids=["plain"], indirect=True)
async def test_two_routers_lose_no_update_of_each_other(routers: tuple[Router, Router]) -> None:
    user = new_user()
    callers = [as_user(router, user) for router in routers]
    contents = [f"Canary fact {number}, told to router {side}." for number in range(60) for side in (0, 1)]
    await asyncio.gather(*(callers[index % 2].remember(content) for index, content in enumerate(contents)))
    for caller in callers:
        assert sorted(await every_content(caller)) == sorted(contents)
    same = ["The same canary fact, told to both routers at once."]
    await asyncio.gather(*(callers[number % 2].remember(*same) for number in range(20)))
    assert (await every_content(callers[0])).count(same[0]) == 1
    memories = await callers[0].memories()
    fields = ({"importance": 0.9}, {"content": "A canary fact that was edited."}, {"type": "semantic"})
    await asyncio.gather(
        *(
            callers[number % 2].request("PATCH", f"/v1/memory/{memories[0]['id']}", json.dumps(change).encode())
            for number, change in enumerate(fields)
        )
    )
    edited = (await callers[1].request("GET", f"/v1/memory/{memories[0]['id']}")).json()
    assert (edited["importance"], edited["content"], edited["type"]) == (0.9, fields[1]["content"], "semantic")


async def test_two_routers_that_start_at_once_share_one_index(tmp_path: Path, model: ScriptedUpstream) -> None:
    async with ValkeyServer() as valkey, contextlib.AsyncExitStack() as stack:
        config = on_valkey(valkey, model)
        folders = [tmp_path / str(number) for number in range(3)]
        for folder in folders:
            folder.mkdir()
        routers = await asyncio.gather(
            *(stack.enter_async_context(running_router(folder, config)) for folder in folders)
        )
        user = new_user()
        await as_user(routers[0], user).remember("My canary is called Figaro.")
        for router in routers:
            assert (await router.get("/ready")).json()["checks"]["memory_store"]["status"] == "ok"
            assert await asks(as_user(router, user), "How is my canary called?") == "used"


def received(model: ScriptedUpstream) -> str:
    """Return everything that the model received last."""
    return model.requests[-1].body.decode()
