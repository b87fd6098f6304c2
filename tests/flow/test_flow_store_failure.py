"""The memory store breaks while the router runs: answers keep coming, and what was said is kept where it can be."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from memrouter.testing.upstream import ScriptedUpstream

from .servers import CANARY, Caller, Router, router_config, running_router

TABLES = ("memories", "owners", "meta")
FACT = f"My {CANARY} is called Figaro and I bought it in Porto last spring."


def rename_tables(database: Path, *, old: str = "", new: str = "") -> None:
    """Put every table under another name, from outside, in one transaction."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table}{old} RENAME TO {table}{new}")
        connection.execute("COMMIT")


@pytest_asyncio.fixture(loop_scope="session")
async def lonely_router(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Router, ScriptedUpstream]]:
    """A router of its own, whose store a test may break."""
    async with ScriptedUpstream() as upstream:
        config = router_config({"scripted": [upstream.endpoint]})
        async with running_router(tmp_path_factory.mktemp("breaking"), config) as router:
            yield router, upstream


async def until_ready_says(router: Router, status: str) -> dict[str, str]:
    """Wait for what /ready says of the store; it looks once a second."""
    for _ in range(200):
        answer = await router.get("/ready")
        check: dict[str, str] = answer.json()["checks"]["memory_store"]
        if check["status"] == status:
            assert (answer.status, answer.json()["status"]) == (200, status)
            return check
        await asyncio.sleep(0.05)
    raise AssertionError(f"/ready never said {status}")


async def test_answers_keep_coming_while_the_store_is_broken_and_turns_are_stored_afterwards(
    lonely_router: tuple[Router, ScriptedUpstream],
) -> None:
    router, upstream = lonely_router
    alice: Caller = router.caller(CANARY)
    await alice.chat(FACT)
    await alice.stored(1)
    assert (await alice.chat("How is my canary called?")).memory == "used"

    rename_tables(router.database, new="_hidden")
    for number in range(3):
        answer = await alice.chat(f"While it was broken I told you that my canary laid egg number {number}.")
        assert (answer.status, answer.text, answer.memory) == (200, "ok", "unavailable")
        assert answer.headers["x-memory-count"] == "0"
    assert len(upstream.requests[-1].json()["messages"]) == 1
    async with alice.streaming("Stream me a song of my canary while the store is broken.") as stream:
        assert (stream.status, stream.headers["x-memory-status"]) == (200, "unavailable")
        await stream.read()
    refused = await alice.request("GET", "/v1/memory")
    assert (refused.status, refused.json()["error"]["code"]) == (503, "store_unavailable")
    detail = (await until_ready_says(router, "degraded"))["detail"]
    assert detail
    assert await router.metric("memrouter_memory_requests_total", status="unavailable") == 4

    rename_tables(router.database, old="_hidden")
    contents = [memory["content"] for memory in await alice.stored(5)]
    assert len([content for content in contents if "laid egg number" in content]) == 3
    assert await router.metric("memrouter_store_queue_failed_total") == 0
    assert await router.metric("memrouter_store_queue_dropped_total") == 0
    await until_ready_says(router, "ok")
    assert (await alice.chat("Which egg number did my canary lay?")).memory == "used"


async def test_a_store_that_stays_locked_delays_no_answer_beyond_the_limit(
    lonely_router: tuple[Router, ScriptedUpstream],
) -> None:
    router, _ = lonely_router
    alice = router.caller(CANARY)
    with contextlib.closing(sqlite3.connect(router.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        answer = await alice.chat(FACT)
        assert (answer.status, answer.memory) == (200, "missing"), "reading needs no lock"
        assert await alice.memories() == []
        other.execute("ROLLBACK")
    await alice.stored(1)
