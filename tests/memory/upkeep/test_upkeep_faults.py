"""A failure between any two steps of merging, undoing and pruning, on every store: no loss, no double, no orphan."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest

from memrouter.errors import StoreUnavailable
from memrouter.memory.upkeep.union import key, sentences
from memrouter.models.history import Actor
from memrouter.models.memory import Scope, Source
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import ALL_TYPES, Filter
from memrouter.testing.records import NOW

from ..fault_stores import Breaking, OpenStore
from .upkeep_bench import DAY, Bench

ALICE = Scope("alice", None)
STEPS = frozenset({"get", "search", "commit"})
TEXTS = ("I have a small dog called Rex", "I have a small brown dog called Rex", "Our car is red")


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncIterator[MemoryStore]:
    store = await open_store()
    yield store
    await store.delete(ALICE, Filter(types=ALL_TYPES))


async def whole(bench: Bench) -> None:
    """Make sure that everything that was said is found exactly once, and that nothing hangs in the air."""
    active, everything = await bench.active(), await bench.everything()
    found = sorted(key(*each) for record in active.values() for each in sentences(record.content))
    assert found == sorted(key(*each) for text in TEXTS for each in sentences(text))
    assert all(record.superseded_by in everything for record in everything.values() if record.superseded_by)
    assert all(link in everything for record in everything.values() for link in record.links)


async def steps_of(store: MemoryStore, act: Callable[[Bench], Awaitable[object]], *, merged: bool) -> list[Bench]:
    """Let every call of ``act`` fail in turn, before and after it took effect; check each time what is left.

    Args:
        store: Emptied before each try, and filled with TEXTS.
        act: What is broken.
        merged: Whether what can be merged is so before.
    """
    ends = []
    for late in (False, True):
        for number in range(20):
            await store.delete(ALICE, Filter(types=ALL_TYPES))
            bench = Bench(store)
            await bench.keep(*TEXTS)
            if merged:
                await bench.upkeep.consolidation.run()
            breaking = Breaking(store, only=STEPS)
            breaking.break_at(number, late=late)
            with suppress(StoreUnavailable):
                await act(Bench(breaking).at(NOW + DAY))
            await whole(bench)
            if len(breaking.calls) <= number:
                break  # it came to its end before the call that was to fail
            await act(Bench(store).at(NOW + DAY))
            await whole(bench)
            ends.append(bench)
    return ends


async def test_merging_that_fails_anywhere_loses_nothing_and_is_done_by_the_next_run(store: MemoryStore) -> None:
    ends = await steps_of(store, lambda bench: bench.upkeep.consolidation.run(), merged=False)
    assert len(ends) == 2 * len(("generation", "get", "commit"))
    assert len(await ends[-1].active()) == 2
    assert len(await ends[-1].everything()) == 4


async def test_undoing_that_fails_anywhere_loses_nothing(store: MemoryStore) -> None:
    async def act(bench: Bench) -> None:
        for record in (await Bench(store).active()).values():
            if record.source is Source.CONSOLIDATION:
                await bench.upkeep.undoing.undo(ALICE, record.id, actor=Actor.OWNER)

    ends = await steps_of(store, act, merged=True)
    assert len(ends) == 2 * len(("generation", "get", "get", "commit"))
    assert set(await ends[-1].everything()) == {"m001", "m002", "m003"}


async def test_pruning_that_fails_anywhere_leaves_no_link_to_what_is_gone(store: MemoryStore) -> None:
    ends = await steps_of(store, lambda bench: bench.at(NOW + 40 * DAY).upkeep.pruning.run(), merged=True)
    assert len(ends) == 2 * len(("generation", "get", "get", "commit"))
    assert len(await ends[-1].everything()) == 2


async def test_two_runs_at_once_merge_once(store: MemoryStore) -> None:
    bench, other = Bench(store), Bench(store)
    await bench.keep(*TEXTS)
    await asyncio.gather(bench.upkeep.consolidation.run(), other.upkeep.consolidation.run(), return_exceptions=True)
    await bench.upkeep.consolidation.run()
    await whole(bench)
    assert len(await bench.everything()) == 4
