"""What goes along with a deleted memory, over a real store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from memrouter.memory.storing.drafts import MemoryDraft, MemoryEdit
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source
from memrouter.stores.query import MergeMode

from ..gates import ANNA, Bench, open_bench, turn

TURNS = [
    "Q: I moved to Porto.\nA: How nice!",
    "Q: My dog is Rex.\nA: Good name!",
    "Q: I sold my car.\nA: I see, thanks.",
]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path) as opened:
        yield opened


async def told(bench: Bench, *texts: str, conversation: str = "c1", first: int = 0) -> list[MemoryRecord]:
    """Store turns and return them."""
    drafts = [turn(text, number, conversation=conversation) for number, text in enumerate(texts, first)]
    return [outcome.record for outcome in await bench.write(*drafts) if outcome.record is not None]


async def window(bench: Bench, *texts: str, index: int, conversation: str = "c1") -> MemoryRecord:
    """Store a window and return it."""
    draft = turn("\n---\n".join(texts), index, conversation=conversation, source=Source.SESSION_WINDOW)
    (outcome,) = await bench.write(draft)
    assert outcome.record is not None
    return outcome.record


async def fact(bench: Bench, text: str, *sources: MemoryRecord) -> MemoryRecord:
    """Store a fact that was drawn from turns and return it."""
    draft = MemoryDraft(
        text,
        MemoryType.SEMANTIC,
        source=Source.EXTRACTION,
        conversation_id=sources[-1].conversation_id,
        turn_index=sources[-1].turn_index,
        role="user",
        links=tuple(source.id for source in sources),
    )
    (outcome,) = await bench.write(draft, actor=Actor.EXTRACTION)
    assert outcome.record is not None
    return outcome.record


async def forget(bench: Bench, record: MemoryRecord) -> list[str]:
    """Delete a memory and return what is found then."""
    assert await bench.eraser.forget(ANNA, record.id, actor=Actor.OWNER)
    return sorted(await bench.visible())


async def test_a_turn_takes_the_facts_along_that_were_drawn_from_it_alone(bench: Bench) -> None:
    first, second, _ = await told(bench, *TURNS)
    await fact(bench, "The user lives in Porto.", first)
    both = await fact(bench, "Rex lives in Porto.", first, second)
    await fact(bench, "The user has a dog.", second)
    assert await forget(bench, first) == sorted([*TURNS[1:], "Rex lives in Porto.", "The user has a dog."])
    assert (await bench.kept())[both.id].links == (second.id,)
    assert await forget(bench, second) == [TURNS[2]]


async def test_a_fact_that_another_turn_told_again_stays_as_long_as_that_turn(bench: Bench) -> None:
    first, second = await told(bench, *TURNS[:2])
    told_once = await fact(bench, "The user lives in Porto.", first)
    assert (await fact(bench, "the user lives in Porto", second)).id == told_once.id
    assert await forget(bench, first) == sorted([TURNS[1], "The user lives in Porto."])
    assert await forget(bench, second) == []


async def test_facts_that_their_owner_took_up_stay(bench: Bench) -> None:
    (first,) = await told(bench, TURNS[0])
    pinned, edited, _ = [await fact(bench, f"The user {does}.", first) for does in ("sails", "rides", "lives in Porto")]
    await fact(bench, "The user paints.", first)
    await bench.corrections.pin(ANNA, pinned.id)
    await bench.corrections.edit(ANNA, edited.id, MemoryEdit("I ride horses."))
    await bench.say("The user paints.")
    assert await forget(bench, first) == ["I ride horses.", "The user paints.", "The user sails."]
    assert all(record.links == () for record in (await bench.kept()).values())


async def test_a_turn_takes_every_window_along_that_holds_it(bench: Bench) -> None:
    first, *_, last = await told(bench, *TURNS)
    shown = await window(bench, *TURNS, index=2)
    hidden = await window(bench, *TURNS[:2], index=1)
    copy = await window(bench, TURNS[0].upper(), "Q: Something else.\nA: Yes, certainly.", index=9, conversation="c2")
    other = await window(bench, *TURNS[1:], index=9)
    await bench.store.merge([replace(hidden, superseded_by=last.id)], mode=MergeMode.REPLACE)
    await forget(bench, first)
    kept = await bench.kept()
    assert {shown.id, hidden.id, copy.id}.isdisjoint(kept)
    assert other.id in kept


async def test_a_window_goes_by_its_place_where_the_turn_was_edited(bench: Bench) -> None:
    (first,) = await told(bench, TURNS[0])
    await window(bench, *TURNS, index=2)
    await bench.corrections.edit(ANNA, first.id, MemoryEdit("I moved somewhere."))
    assert await forget(bench, first) == []


async def test_a_window_that_is_stored_after_its_turn_was_deleted_is_dropped(bench: Bench) -> None:
    (first,) = await told(bench, TURNS[0], first=1)
    begun = bench.clock.ms
    bench.clock.ms += 10
    await forget(bench, first)
    late = turn("\n---\n".join(TURNS), 3, source=Source.SESSION_WINDOW)
    far = turn("\n---\n".join(TURNS[1:]), 6, source=Source.SESSION_WINDOW)
    outcomes = await bench.write(late, far, begun_at=begun)
    assert [outcome.reason for outcome in outcomes] == ["deleted_meanwhile", None]


async def test_a_memory_that_was_merged_of_a_deleted_fact_goes_and_the_other_parts_come_back(bench: Bench) -> None:
    first, second = await told(bench, *TURNS[:2])
    parts = [await fact(bench, text, source) for text, source in (("Porto is home.", first), ("Rex barks.", second))]
    links = (*(part.id for part in parts), first.id, second.id)
    merged = replace(
        parts[0], id="merged", content="Porto is home. Rex barks.", source=Source.CONSOLIDATION, links=links
    )
    hidden = [replace(part, superseded_by="merged") for part in parts]
    await bench.store.merge([merged, *hidden], mode=MergeMode.REPLACE)
    assert await forget(bench, first) == sorted([TURNS[1], "Rex barks."])
    assert (await bench.kept())[parts[1].id].links == (second.id,)


async def test_a_merged_memory_whose_parts_are_gone_goes_with_a_turn_that_it_leads_back_to(bench: Bench) -> None:
    first, second = await told(bench, *TURNS[:2])
    part = await fact(bench, "Porto is home.", first)
    merged = replace(part, id="merged", source=Source.CONSOLIDATION, links=("purged", first.id, second.id))
    await bench.store.merge([merged], mode=MergeMode.SKIP)
    assert await forget(bench, first) == [TURNS[1]]


async def test_deleting_one_of_a_chain_leaves_no_link_to_it(bench: Bench) -> None:
    (old,) = await bench.say("I live in Porto.")
    new = await bench.corrections.supersede(ANNA, old.id, "I live in Faro.")
    assert await forget(bench, old) == ["I live in Faro."]
    assert (await bench.kept())[new.id].links == ()


async def test_nothing_of_another_project_goes_along(bench: Bench) -> None:
    (first,) = await told(bench, TURNS[0])
    elsewhere = Scope("anna", "work")
    drafts = [turn(TURNS[0]), turn("\n---\n".join(TURNS), 2, source=Source.SESSION_WINDOW)]
    await bench.write(*drafts, scope=elsewhere)
    assert await forget(bench, first) == []
    assert len(await bench.visible(elsewhere)) == 2
