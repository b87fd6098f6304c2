"""Taking a consolidation back."""

import pytest
from msgspec.structs import replace

from memrouter.errors import InvalidRequest, NotFound
from memrouter.memory.upkeep.undoing import Undone
from memrouter.models.history import Actor, Event, HistoryEntry, appended
from memrouter.models.memory import Scope, Source
from memrouter.stores.query import Filter, MergeMode
from memrouter.testing.records import NOW

from .upkeep_bench import DAY, Bench

ALICE = Scope("alice", None)
REX = ("I have a small dog called Rex", "I have a small brown dog called Rex")


async def consolidated(bench: Bench) -> str:
    """Merge what can be merged, and return the id of what came last of it."""
    merger = (await bench.upkeep.consolidation.run()).mergers[-1]
    assert merger.memory_id is not None
    return merger.memory_id


async def undo(bench: Bench, memory_id: str) -> Undone:
    return await bench.upkeep.undoing.undo(ALICE, memory_id, actor=Actor.OPERATOR)


async def test_undoing_brings_the_sources_back_and_they_are_not_merged_again(bench: Bench) -> None:
    before = await bench.keep(*REX)
    merged = await consolidated(bench)
    assert await undo(bench, merged) == Undone(("m001", "m002"), merged)
    after = await bench.everything()
    assert {each: after[each].content for each in after} == {record.id: record.content for record in before}
    assert all(record.visible(bench.clock.ms) for record in after.values())
    assert {record.history[-1].event for record in after.values()} == {Event.RESTORED}
    assert not (await bench.upkeep.consolidation.run()).mergers


async def test_what_is_said_later_is_merged_with_one_that_came_back_and_keeps_it_from_the_other(bench: Bench) -> None:
    await bench.keep(*REX)
    await undo(bench, await consolidated(bench))
    await bench.keep("I have a small brown dog called Rex now")
    (merger,) = (await bench.upkeep.consolidation.run()).mergers
    assert len(merger.sources) == 2


async def test_a_window_comes_back_and_stays(bench: Bench) -> None:
    turns = ["Q: one fine question?\nA: one answer.", "Q: two fine dogs?\nA: no."]
    await bench.keep(*turns, conversation_id="c1")
    (window,) = await bench.keep("\n---\n".join(turns), conversation_id="c1", source=Source.SESSION_WINDOW)
    await bench.upkeep.consolidation.run()
    assert window.id not in await bench.active()
    assert await undo(bench, window.id) == Undone((window.id,), None)
    assert window.id in await bench.active()
    assert not (await bench.upkeep.consolidation.run()).mergers


async def test_mergers_of_mergers_are_taken_back_one_by_one(bench: Bench) -> None:
    await bench.keep(*REX)
    inner = await consolidated(bench)
    await bench.keep("I have a small brown friendly dog called Rex")
    outer = await consolidated(bench)
    with pytest.raises(InvalidRequest, match=f"replaced by {outer}; undo that first"):
        await undo(bench, inner)
    await undo(bench, outer)
    assert set(await bench.active()) == {inner, "m003"}
    await undo(bench, inner)
    assert set(await bench.active()) == {"m001", "m002", "m003"}


async def test_what_cannot_be_undone_says_why_and_stays(bench: Bench) -> None:
    await bench.keep(*REX, "Something else")
    merged = await consolidated(bench)
    with pytest.raises(NotFound):
        await undo(bench, "absent")
    with pytest.raises(NotFound):
        await bench.upkeep.undoing.undo(Scope("bob"), merged, actor=Actor.OWNER)
    with pytest.raises(InvalidRequest, match="not made by consolidation"):
        await undo(bench, "m003")
    with pytest.raises(InvalidRequest, match=f"replaced by {merged}"):
        await undo(bench, "m001")
    record = (await bench.everything())[merged]
    entry = HistoryEntry(NOW, Event.EDITED, Actor.OWNER)
    changed = replace(record, history=appended(record.history, entry))
    await bench.store.merge([changed], mode=MergeMode.REPLACE)
    with pytest.raises(InvalidRequest, match="was changed since"):
        await undo(bench, merged)
    assert set(await bench.active()) == {merged, "m003"}


async def test_nothing_can_be_undone_once_the_sources_are_purged(bench: Bench) -> None:
    await bench.keep(*REX)
    merged = await consolidated(bench)
    bench.clock.ms += 30 * DAY
    await bench.upkeep.pruning.run()
    assert set(await bench.everything()) == {merged}
    with pytest.raises(InvalidRequest, match="no longer kept"):
        await undo(bench, merged)


async def test_sources_that_were_deleted_meanwhile_do_not_come_back(bench: Bench) -> None:
    await bench.keep(*REX)
    merged = await consolidated(bench)
    await bench.store.delete(ALICE, Filter(ids=frozenset({"m001"})))
    assert await undo(bench, merged) == Undone(("m002",), merged)
    assert set(await bench.everything()) == {"m002"}
