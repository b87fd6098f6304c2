"""Responses that are kept for their owners."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from memrouter.api.responses.chains import MAX_CHAIN, Chain, ResponseChains
from memrouter.config.memory import SqliteSettings
from memrouter.errors import InvalidRequest, NotFound
from memrouter.memory.storing.marks import Erased, ErasureMarks
from memrouter.models.memory import Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.state import drop_conversation, drop_responses, responses_space
from memrouter.testing.clock import ManualClock

ALICE = Scope("alice")
DAY = 86_400_000


async def opened(folder: Path) -> SqliteStore:
    settings = SqliteSettings(path=str(folder / "memories.db"), synchronous="normal")
    return await SqliteStore.open(settings, dimension=4, embedding_model="test-model")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[MemoryStore]:
    store = await opened(tmp_path)
    yield store
    await store.aclose()


def chains_on(store: MemoryStore, clock: ManualClock, **limits: Any) -> ResponseChains:
    settings = {"ttl_seconds": 86_400, "max_response_bytes": 1_000_000, "max_chain_bytes": 2_000_000, **limits}
    return ResponseChains(store.state, clock=clock, **settings)


@pytest.fixture
def chains(store: MemoryStore, clock: ManualClock) -> ResponseChains:
    return chains_on(store, clock)


def name(number: int) -> str:
    return f"resp_{number:032x}"


def response(number: int, text: str) -> dict[str, Any]:
    item = {"id": f"msg_out_{number}", "type": "message", "role": "assistant", "content": text}
    return {"id": name(number), "status": "completed", "output": [item]}


def sent(number: int, text: str) -> list[dict[str, Any]]:
    return [{"id": f"msg_in_{number}", "type": "message", "role": "user", "content": text}]


async def keep(
    chains: ResponseChains,
    number: int,
    *,
    scope: Scope = ALICE,
    chain: Chain | None = None,
    text: str = "",
    at: int = 0,
    conversation: str = "talk",
) -> bool:
    said = text or f"words {number}"
    return await chains.keep(
        scope,
        response(number, said),
        items=sent(number, said),
        chain=chain or Chain(),
        conversation=conversation,
        begun_at=at or 1,
    )


async def test_a_kept_response_is_found_by_its_owner(chains: ResponseChains) -> None:
    assert await keep(chains, 1)
    stored = await chains.get(ALICE, name(1))
    assert stored.response == response(1, "words 1")
    assert stored.input == sent(1, "words 1")


@pytest.mark.parametrize("scope", [Scope("bob"), Scope("Alice"), Scope("alice", "other"), Scope("alice,b")])
async def test_nobody_else_finds_it_nor_can_remove_it(chains: ResponseChains, scope: Scope) -> None:
    await keep(chains, 1)
    for attempt in (chains.get, chains.chain, chains.remove):
        with pytest.raises(NotFound) as foreign:
            await attempt(scope, name(1))
        with pytest.raises(NotFound) as absent:
            await attempt(scope, name(2))
        assert str(foreign.value) == str(absent.value)
    assert (await chains.get(ALICE, name(1))).response["id"] == name(1)


async def test_a_chain_holds_all_that_was_said_in_order(chains: ResponseChains) -> None:
    chain = Chain()
    for number in range(1, 4):
        await keep(chains, number, chain=chain)
        chain = await chains.chain(ALICE, name(number))
    assert chain.ids == (name(1), name(2), name(3))
    assert [item["id"] for item in chain.items] == [
        f"msg_{side}_{number}" for number in range(1, 4) for side in ("in", "out")
    ]


async def test_two_responses_may_build_upon_the_same_one(chains: ResponseChains) -> None:
    await keep(chains, 1)
    chain = await chains.chain(ALICE, name(1))
    await keep(chains, 2, chain=chain)
    await keep(chains, 3, chain=chain)
    assert (await chains.chain(ALICE, name(3))).ids == (name(1), name(3))
    assert (await chains.chain(ALICE, name(2))).ids == (name(1), name(2))


async def test_what_was_removed_is_left_out_of_its_chain(chains: ResponseChains) -> None:
    await keep(chains, 1)
    await keep(chains, 2, chain=await chains.chain(ALICE, name(1)))
    await chains.remove(ALICE, name(1))
    chain = await chains.chain(ALICE, name(2))
    assert [item["id"] for item in chain.items] == ["msg_in_2", "msg_out_2"]
    assert chain.ids[0] == name(1)


async def test_a_removed_response_leaves_nothing_behind(chains: ResponseChains, store: MemoryStore) -> None:
    await keep(chains, 1, text="x" * 120_000)
    await chains.remove(ALICE, name(1))
    assert [space async for space in store.state.spaces("responses:")] == []


async def test_a_large_response_is_kept_in_parts(chains: ResponseChains) -> None:
    text = "Grüße 🎵 " * 20_000
    assert await keep(chains, 1, text=text)
    assert (await chains.get(ALICE, name(1))).response == response(1, text)


async def test_a_response_over_the_limit_is_not_kept(store: MemoryStore, clock: ManualClock) -> None:
    chains = chains_on(store, clock, max_response_bytes=5_000)
    assert not await keep(chains, 1, text="x" * 5_000)
    assert await keep(chains, 2, text="x" * 2_000)


async def test_a_chain_over_the_limit_is_not_built_upon(store: MemoryStore, clock: ManualClock) -> None:
    chains = chains_on(store, clock, max_chain_bytes=5_000)
    await keep(chains, 1, text="x" * 2_000)
    await keep(chains, 2, text="x" * 2_000, chain=await chains.chain(ALICE, name(1)))
    with pytest.raises(InvalidRequest, match="begin a new one") as refused:
        await chains.chain(ALICE, name(2))
    assert refused.value.param == "previous_response_id"


async def test_a_chain_has_a_longest_length(chains: ResponseChains) -> None:
    await keep(chains, MAX_CHAIN, chain=Chain(tuple(map(name, range(1, MAX_CHAIN)))))
    with pytest.raises(InvalidRequest, match="begin a new one"):
        await chains.chain(ALICE, name(MAX_CHAIN))


async def test_an_expired_response_is_absent_with_all_its_parts(
    chains: ResponseChains, store: MemoryStore, clock: ManualClock
) -> None:
    await keep(chains, 1)
    clock.ms += DAY - 1
    await chains.get(ALICE, name(1))
    clock.ms += 1
    for attempt in (chains.get, chains.chain, chains.remove):
        with pytest.raises(NotFound):
            await attempt(ALICE, name(1))
    space = responses_space(ALICE)
    assert [entry async for entry in store.state.entries(space, now=clock.ms)] == []


@pytest.mark.parametrize("odd", ["", "resp_1", "..", "resp_" + "g" * 32, "x" * 5_000, "\0", "résp", name(1) + ".0"])
async def test_an_id_that_cannot_be_one_is_absent(chains: ResponseChains, odd: str) -> None:
    await keep(chains, 1)
    with pytest.raises(NotFound):
        await chains.get(ALICE, odd)


async def test_chains_outlive_the_router(tmp_path: Path, clock: ManualClock) -> None:
    first = await opened(tmp_path)
    await keep(chains_on(first, clock), 1)
    await first.aclose()
    second = await opened(tmp_path)
    assert (await chains_on(second, clock).chain(ALICE, name(1))).ids == (name(1),)
    await second.aclose()


async def test_dropping_a_project_leaves_the_users_others_and_other_users(
    chains: ResponseChains, store: MemoryStore
) -> None:
    other, bob = Scope("alice", "other"), Scope("bob")
    for scope in (ALICE, other, bob):
        await keep(chains, 1, scope=scope)
    await drop_responses(store.state, ALICE)
    with pytest.raises(NotFound):
        await chains.get(ALICE, name(1))
    await chains.get(other, name(1))
    await drop_responses(store.state, Scope("alice", None))
    with pytest.raises(NotFound):
        await chains.get(other, name(1))
    await chains.get(bob, name(1))


@pytest.mark.parametrize("project", ["default", None])
async def test_dropping_a_conversation_takes_its_responses_and_no_others(
    chains: ResponseChains, store: MemoryStore, project: str | None
) -> None:
    bob = Scope("bob")
    await keep(chains, 1, text="long " * 30_000)
    await keep(chains, 2, conversation="another")
    await keep(chains, 3, scope=bob)
    await drop_conversation(store.state, Scope("alice", project), "talk")
    with pytest.raises(NotFound):
        await chains.get(ALICE, name(1))
    await chains.get(ALICE, name(2))
    await chains.get(bob, name(3))
    left = [space async for space in store.state.spaces("responses:")]
    await drop_responses(store.state, ALICE)
    await drop_responses(store.state, bob)
    assert len(left) == 4  # two users, each with responses and the list of a conversation
    assert [space async for space in store.state.spaces("responses:")] == []


async def test_what_was_under_way_when_its_conversation_was_deleted_is_not_kept(
    chains: ResponseChains, store: MemoryStore, clock: ManualClock
) -> None:
    begun = clock.ms
    clock.ms += 1
    await ErasureMarks(store.state).note(Erased(ALICE, conversation_id="talk"), now=clock.now_ms())
    assert not await keep(chains, 1, at=begun)
    assert await keep(chains, 2, at=begun, conversation="another")


@pytest.mark.parametrize("project", ["default", None])
async def test_what_was_under_way_when_everything_was_deleted_is_not_kept(
    chains: ResponseChains, store: MemoryStore, clock: ManualClock, project: str | None
) -> None:
    begun = clock.ms
    clock.ms += 1_000
    await ErasureMarks(store.state).note(Erased(Scope("alice", project)), now=clock.ms)
    assert not await keep(chains, 1, at=begun)
    with pytest.raises(NotFound):
        await chains.get(ALICE, name(1))
    assert await keep(chains, 2, at=clock.ms + 1)
    assert await keep(chains, 3, scope=Scope("bob"), at=begun)
