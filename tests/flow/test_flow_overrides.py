"""A route's own memory settings, and the ways to keep memory out of a request. The caller's group chooses the route."""

from typing import Any

import pytest

from memrouter.testing.upstream import ScriptedUpstream

from .servers import Caller, router_config, running_router
from .test_flow_wire import positions

FACT = "My canary is called Figaro and I bought it in Porto last spring."
QUESTION = "How is my canary called?"


def received(upstream: ScriptedUpstream) -> str:
    """Return what the model received besides the question."""
    return " ".join(message["content"] for message in upstream.requests[-1].json()["messages"][:-1])


async def count(caller: Caller, question: str = QUESTION) -> tuple[str | None, int]:
    """Ask, and return status and count of memories."""
    answer = await caller.chat(question)
    assert answer.status == 200
    return answer.memory, int(answer.headers["x-memory-count"])


@pytest.fixture
def routed(alice: Caller) -> Any:
    """The same caller on the route of this name."""
    return lambda route: alice.having(x_authz_user_groups=route)


async def test_a_route_without_memory_neither_recalls_nor_stores(
    alice: Caller, routed: Any, upstream: ScriptedUpstream
) -> None:
    await alice.remember(FACT)
    assert await count(routed("switched_off")) == ("disabled", 0)
    assert len(upstream.requests[-1].json()["messages"]) == 1
    await routed("switched_off").chat("My canary also has a brother, and he is called Tosca.")
    assert [memory["content"] for memory in await alice.stored_meanwhile()] == [FACT]


async def test_off_the_record_stores_nothing(alice: Caller, upstream: ScriptedUpstream) -> None:
    answer = await alice.chat("Off the record: I am thinking of selling my canary next week.", model="auto")
    assert (answer.memory, answer.headers["x-vsr-selected-decision"]) == ("disabled", "off_the_record")
    assert await alice.stored_meanwhile() == []


async def test_a_disabled_route_neither_recalls_nor_stores(
    alice: Caller, routed: Any, upstream: ScriptedUpstream
) -> None:
    await alice.remember(FACT)
    assert await count(routed("closed")) == ("policy_blocked", 0)
    await routed("closed").chat("My canary also has a brother, and he is called Tosca.")
    assert [memory["content"] for memory in await alice.stored_meanwhile()] == [FACT]


async def test_a_disabled_model_neither_recalls_nor_stores(alice: Caller, upstream: ScriptedUpstream) -> None:
    await alice.remember(FACT)
    assert (await alice.chat(QUESTION, model="private")).memory == "policy_blocked"
    assert len(upstream.requests[-1].json()["messages"]) == 1
    await alice.chat("My canary also has a brother, and he is called Tosca.", model="private")
    assert [memory["content"] for memory in await alice.stored_meanwhile()] == [FACT]


async def test_a_disabled_path_neither_recalls_nor_stores(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with ScriptedUpstream() as upstream:
        config = router_config({"scripted": [upstream.endpoint]}, memory={"disabled_routes": ["/v1/chat/completions"]})
        async with running_router(tmp_path_factory.mktemp("closed"), config) as router:
            alice = router.caller("canary")
            await alice.remember(FACT)
            assert await count(alice) == ("policy_blocked", 0)
            assert len(await alice.memories()) == 1
            assert await router.metric("memrouter_store_queue_done_total") == 0
            assert await router.metric("memrouter_store_queue_depth") == 0


async def test_memory_switched_off_altogether_is_disabled(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with ScriptedUpstream() as upstream:
        config = router_config({"scripted": [upstream.endpoint]}, memory={"enabled": False})
        del config["routing"]  # its route asks for memory, which would hold for that route
        async with running_router(tmp_path_factory.mktemp("without"), config) as router:
            alice = router.caller("canary")
            assert await count(alice) == ("disabled", 0)
            answer = await alice.request("GET", "/v1/memory")
            assert (answer.status, answer.json()["error"]["code"]) == (404, "memory_disabled")
            assert not router.database.exists()


@pytest.mark.parametrize("value", ["true", "True", " TRUE "])
async def test_opting_out_neither_recalls_nor_stores(alice: Caller, upstream: ScriptedUpstream, value: str) -> None:
    await alice.remember(FACT)
    private = alice.having(x_disable_router_memory=value)
    assert await count(private) == ("policy_blocked", 0)
    assert len(upstream.requests[-1].json()["messages"]) == 1
    await private.chat("My canary also has a brother, and he is called Tosca.")
    assert [memory["content"] for memory in await alice.stored_meanwhile()] == [FACT]


@pytest.mark.parametrize("value", ["false", "0", ""])
async def test_not_opting_out_changes_nothing(alice: Caller, upstream: ScriptedUpstream, value: str) -> None:
    await alice.remember(FACT)
    assert await count(alice.having(x_disable_router_memory=value)) == ("used", 1)


async def test_a_route_can_recall_without_storing(alice: Caller, routed: Any, upstream: ScriptedUpstream) -> None:
    await alice.remember(FACT)
    assert await count(routed("read_only")) == ("used", 1)
    await routed("read_only").chat("My canary also has a brother, and he is called Tosca.")
    assert [memory["content"] for memory in await alice.stored_meanwhile()] == [FACT]


async def test_a_route_limits_how_many_memories_it_takes(
    alice: Caller, routed: Any, upstream: ScriptedUpstream
) -> None:
    await alice.remember(
        "My canary is called Figaro and it is yellow.",
        "I play chess on Tuesdays with an old friend.",
        "The office moves to Lisbon in the autumn.",
        "My bicycle has a flat tyre again.",
    )
    assert await count(routed("one_only")) == ("used", 1)
    assert "Figaro" in received(upstream)
    assert await count(routed("not_strict")) == ("used", 4)


async def test_a_routes_threshold_decides_what_is_relevant(
    alice: Caller, routed: Any, upstream: ScriptedUpstream
) -> None:
    await alice.remember("I play chess on Tuesdays with an old friend who keeps a canary.")
    question = "Where does the office move in the autumn?"
    assert await count(routed("very_strict"), question) == ("missing", 0)
    assert (await count(routed("not_strict"), question))[0] == "used"


async def test_a_route_can_search_with_vectors_only(alice: Caller, routed: Any, upstream: ScriptedUpstream) -> None:
    right, wrong = "Locker 1147 is where the canary food is.", "Locker 4117 is where the canary food is."
    await alice.remember(right)
    await alice.remember(wrong)
    found = []
    for route in ("vectors_only", "vectors_and_words"):
        assert await count(routed(route), "What is in locker 1147?") == ("used", 1)
        found.append([memory for memory in (right, wrong) if memory in received(upstream)])
    assert found == [[wrong], [right]], "the same digits give the same vector; only words tell the numbers apart"


async def test_a_routes_token_budget_takes_whole_memories_only(
    alice: Caller, routed: Any, upstream: ScriptedUpstream
) -> None:
    facts = (
        "My canary is called Figaro and it is yellow all over.",
        "I play chess on Tuesdays with an old friend from school.",
        "The office moves to Lisbon in the autumn of next year.",
    )
    await alice.remember(*facts)
    assert (await count(routed("not_strict")))[1] >= 3
    assert await count(routed("small_budget")) == ("used", 1)
    assert [fact for fact in facts if fact in received(upstream)] == [facts[0]]


async def test_a_routes_patterns_keep_memories_out(alice: Caller, routed: Any, upstream: ScriptedUpstream) -> None:
    await alice.remember("The canary opens its cage with code-4711, do not tell.")
    assert (await count(routed("blocked_words"), "How does the canary open its cage?"))[0] == "missing"
    await alice.remember("The canary opens its cage with its beak and a claw.")
    assert await count(routed("blocked_words"), "How does the canary open its cage?") == ("used", 1)
    assert "code-4711" not in received(upstream)
    assert "beak" in received(upstream)


async def test_a_route_may_have_no_user_message_to_search_for(alice: Caller, upstream: ScriptedUpstream) -> None:
    await alice.remember(FACT)
    tool: list[dict[str, Any]] = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {}}]},
        {"role": "tool", "tool_call_id": "1", "content": "no result"},
    ]
    answer = await alice.chat(*tool)
    assert (answer.status, answer.memory) == (200, "ignored")
    assert positions(upstream.requests[-1].json()["messages"]) == ["user", "assistant", "tool"]
