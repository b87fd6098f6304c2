"""Kept responses on Valkey."""

from memrouter.api.responses.chains import Chain, ResponseChains
from memrouter.config.memory import ValkeySettings
from memrouter.models.memory import Scope
from memrouter.stores.state import drop_responses
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.clock import ManualClock

ALICE = Scope("alice")
FIRST, SECOND = f"resp_{1:032x}", f"resp_{2:032x}"


async def chains_on(settings: ValkeySettings) -> tuple[ValkeyStore, ResponseChains]:
    store = await ValkeyStore.open(settings, dimension=16, embedding_model="test-model")
    clock = ManualClock()
    chains = ResponseChains(
        store.state, clock=clock, ttl_seconds=3600, max_response_bytes=1_000_000, max_chain_bytes=1_000_000
    )
    return store, chains


async def test_a_chain_outlives_the_router_and_goes_with_its_owner(valkey: ValkeySettings) -> None:
    said = [{"id": "msg_1", "type": "message", "role": "user", "content": "x" * 100_000}]
    first_store, first = await chains_on(valkey)
    assert await first.keep(
        ALICE, {"id": FIRST, "output": []}, items=said, chain=Chain(), conversation="talk", begun_at=1
    )
    await first_store.aclose()
    store, chains = await chains_on(valkey)
    chain = await chains.chain(ALICE, FIRST)
    assert list(chain.items) == said
    assert await chains.keep(
        ALICE, {"id": SECOND, "output": []}, items=said, chain=chain, conversation="talk", begun_at=1
    )
    assert (await chains.chain(ALICE, SECOND)).ids == (FIRST, SECOND)
    await drop_responses(store.state, Scope("alice", None))
    assert [space async for space in store.state.spaces("responses:")] == []
    await store.aclose()
