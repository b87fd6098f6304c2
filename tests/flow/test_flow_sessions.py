"""What a user said in one session is there in the next; what is not worth it, or not allowed, is not."""

import asyncio
from typing import Any

import pytest

from memrouter.memory.injection.blocks import MARKER
from memrouter.testing.upstream import Answer, ScriptedUpstream

from .conftest import Someone
from .servers import Caller, Router

FACT = "My canary is called Figaro and I bought it in Porto last spring."
QUESTION = "How is my canary called?"


def dialogue(*turns: str) -> list[dict[str, Any]]:
    """Return user and assistant messages in turn."""
    return [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(turns)]


async def test_what_was_said_in_one_session_is_known_in_the_next(alice: Caller) -> None:
    told = await alice.openai.chat.completions.with_raw_response.create(
        model="qwen3", messages=[{"role": "user", "content": FACT}]
    )
    assert told.headers["x-memory-status"] == "missing"
    (memory,) = await alice.stored(1)
    assert memory["content"].startswith(f"Q: {FACT}\nA: ")
    assert (memory["type"], memory["source"], memory["trust"]) == ("episodic", "conversation", "direct_user")

    asked = await alice.openai.chat.completions.with_raw_response.create(
        model="qwen3", messages=[{"role": "user", "content": QUESTION}]
    )
    assert asked.headers["x-memory-status"] == "used"
    assert asked.headers["x-memory-count"] == "1"
    assert "messages=2" in str(asked.parse().choices[0].message.content), "one message more than was sent"


async def test_the_model_receives_the_memory_in_front_of_the_question(
    alice: Caller, upstream: ScriptedUpstream
) -> None:
    await alice.chat(FACT)
    await alice.stored(1)
    assert (await alice.chat(QUESTION)).memory == "used"
    block, question = upstream.requests[-1].json()["messages"]
    assert question == {"role": "user", "content": QUESTION}
    assert block["role"] == "user"
    assert block["content"].startswith(f"<{MARKER}")
    assert "Figaro" in block["content"]


async def test_a_streamed_turn_is_remembered_like_any_other(alice: Caller) -> None:
    stream = await alice.openai.chat.completions.create(
        model="qwen3", messages=[{"role": "user", "content": FACT}], stream=True
    )
    said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    (memory,) = await alice.stored(1)
    assert memory["content"] == f"Q: {FACT}\nA: {said}"


async def test_a_recalled_memory_counts_an_access(alice: Caller, upstream: ScriptedUpstream) -> None:
    await alice.remember(FACT)
    assert (await alice.chat(QUESTION)).memory == "used"
    for _ in range(200):  # accesses are written together, a moment later
        (memory,) = [memory for memory in await alice.memories() if memory["content"] == FACT]
        if memory["access_count"]:
            break
        await asyncio.sleep(0.05)
    assert memory["access_count"] == 1


@pytest.mark.parametrize("greeting", ["Hello!", "Thanks a lot", "ok", "🙂"])
async def test_a_greeting_is_ignored(alice: Caller, upstream: ScriptedUpstream, greeting: str) -> None:
    await alice.remember(FACT)
    answer = await alice.chat(greeting)
    assert (answer.status, answer.memory, answer.headers["x-memory-count"]) == (200, "ignored", "0")
    assert [memory["content"] for memory in await alice.stored_meanwhile()] == [FACT]


async def test_nobody_gets_an_answer_without_memory(router: Router, upstream: ScriptedUpstream) -> None:
    answer = await router.caller(None).chat(FACT)
    assert (answer.status, answer.text, answer.memory) == (200, "ok", "missing")
    assert len(upstream.requests[-1].json()["messages"]) == 1
    assert (await router.caller(None).request("GET", "/v1/memory")).status == 401


async def test_every_third_turn_leaves_a_window_over_the_conversation(
    alice: Caller, upstream: ScriptedUpstream
) -> None:
    turns = [FACT, "That sounds lovely.", "It sings from six in the morning.", "An early bird.", "It eats millet only."]
    await alice.chat(*dialogue(*turns[:1]))
    await alice.chat(*dialogue(*turns[:3]))
    assert {memory["source"] for memory in await alice.stored(2)} == {"conversation"}
    await alice.chat(*dialogue(*turns))
    memories = await alice.stored(3)
    (window,) = [memory for memory in memories if memory["source"] == "session_window"]
    assert all(words in window["content"] for words in (*turns[:3:2], turns[1]))
    assert len({memory["conversation_id"] for memory in memories}) == 1


async def test_a_replayed_conversation_adds_nothing(alice: Caller, upstream: ScriptedUpstream) -> None:
    turns = [FACT, "That sounds lovely.", "My canary sings from six in the morning on."]
    for _ in range(2):
        await alice.chat(*dialogue(*turns[:1]))
        await alice.chat(*dialogue(*turns))
    assert len(await alice.stored_meanwhile()) == 2


async def test_what_the_conversation_holds_already_is_not_injected(
    someone: Someone, upstream: ScriptedUpstream
) -> None:
    alice = someone()
    upstream.script(Answer.completion("That sounds lovely."))
    await alice.chat(FACT)
    await alice.stored(1)
    answer = await alice.chat(*dialogue(FACT, "That sounds lovely.", QUESTION))
    assert answer.memory == "missing"
    assert len(upstream.requests[-1].json()["messages"]) == 3
    assert (await alice.chat(QUESTION)).memory == "used", "in another conversation it is"


async def test_a_session_header_names_the_conversation(alice: Caller, upstream: ScriptedUpstream) -> None:
    for session in ("monday", "monday", "tuesday"):
        await alice.having(x_session_id=session).chat(f"{FACT} It was said on a day that I call {session}.")
    memories = await alice.stored_meanwhile()
    assert len(memories) == 2
    assert len({memory["conversation_id"] for memory in memories}) == 2


async def test_thinking_is_not_stored(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(Answer.completion("<think>The user has a bird.</think>What a fine bird."))
    assert (await alice.chat(FACT)).text == "<think>The user has a bird.</think>What a fine bird."
    (memory,) = await alice.stored(1)
    assert memory["content"] == f"Q: {FACT}\nA: What a fine bird."


async def test_a_bare_refusal_is_not_stored(alice: Caller, upstream: ScriptedUpstream) -> None:
    upstream.script(Answer.completion("I'm sorry, but I can't help with that."))
    await alice.chat(FACT)
    assert await alice.stored_meanwhile() == []


async def test_a_block_that_the_model_repeats_is_not_stored_again(merging_router: Router) -> None:
    alice = merging_router.caller("canary-of-the-merging-router")
    await alice.remember(FACT)
    answer = await alice.chat(QUESTION, model="qwen3")
    assert answer.memory == "used"
    assert f"User: <{MARKER}" in answer.text, "the model received the block inside the user's message"
    assert "Figaro" in answer.text
    turn, fact = await alice.stored(2)
    assert fact["content"] == FACT
    assert turn["content"].startswith(f"Q: {QUESTION}\nA: [echo]")
    assert MARKER not in turn["content"]
    assert "Figaro" not in turn["content"]


async def test_editing_and_deleting_changes_what_the_model_receives(alice: Caller, upstream: ScriptedUpstream) -> None:
    await alice.remember(FACT)
    (memory,) = await alice.memories()
    path = f"/v1/memory/{memory['id']}"
    changed = await alice.request(
        "PATCH", path, b'{"content": "My canary is called Tosca now, and it lives in Porto."}'
    )
    assert changed.status == 200
    assert (await alice.chat(QUESTION)).memory == "used"
    received = upstream.requests[-1].body.decode()
    assert "Tosca" in received
    assert "Figaro" not in received
    assert (await alice.request("DELETE", "/v1/memory")).status == 200
    await alice.stored_meanwhile()
    await alice.request("DELETE", "/v1/memory")
    assert (await alice.chat(QUESTION)).memory == "missing"
