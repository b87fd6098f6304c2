"""Export and import of one's own memories over the wire."""

import asyncio
import json

from memrouter.testing.upstream import ScriptedUpstream

from .conftest import Someone
from .servers import Caller


async def test_a_user_takes_all_memories_along_to_another_account(alice: Caller, someone: Someone) -> None:
    await alice.remember("I like green tea.", "I live in Porto.")
    exported = await alice.request("GET", "/v1/memory/export")
    assert exported.status == 200
    bob = someone()
    refused = await bob.request("POST", "/v1/memory/import", exported.body)
    assert (refused.status, refused.json()["error"]["param"]) == (422, "line 2")
    assert await bob.memories() == []
    taken = await bob.request("POST", "/v1/memory/import?map_user=true", exported.body)
    assert (taken.status, taken.json()["added"]) == (200, 2)
    assert {memory["content"] for memory in await bob.memories()} == {"I like green tea.", "I live in Porto."}
    assert len(await alice.memories()) == 2


async def test_why_a_large_body_is_refused_can_be_read(alice: Caller) -> None:
    junk = b"x\n" * 4_000_000
    answer = await alice.request("POST", "/v1/memory/import", junk)
    assert (answer.status, answer.json()["error"]["param"]) == (422, "line 1")


async def test_chats_are_answered_while_an_import_is_under_way(alice: Caller, upstream: ScriptedUpstream) -> None:
    await alice.remember("I like green tea.")
    first, line, _ = (await alice.request("GET", "/v1/memory/export")).body.splitlines(keepends=True)
    memory = json.loads(line) | {"embedding": None, "content": "Tea is best when it is green. " * 20}
    lines = [json.dumps(memory | {"id": f"{memory['id'][:20]}{number}"}).encode() + b"\n" for number in range(8000)]
    running = asyncio.create_task(alice.request("POST", "/v1/memory/import", b"".join([first, *lines])))
    answered = 0
    while not running.done():
        assert (await alice.chat("Which tea do I like?")).status == 200
        answered += 1
    assert (await running).json()["error"]["param"] == "line 8002"  # there is no trailer
    assert answered >= 3
    assert len(upstream.requests) >= answered
