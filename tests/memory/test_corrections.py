"""Corrections over a real store."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from memrouter.config.memory import MemorySettings
from memrouter.errors import InvalidRequest, NotFound, StoreUnavailable
from memrouter.memory.corrections import CHANGED_MEANWHILE
from memrouter.memory.storing.deposit import Fate
from memrouter.memory.storing.drafts import MemoryDraft, MemoryEdit
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source, Trust
from memrouter.observability.metrics import Metrics
from memrouter.stores.instrumented import InstrumentedStore
from memrouter.stores.query import Change, MergeMode
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.clock import ManualClock

from .gates import ANNA, INJECTION, Bench, open_bench, open_store, turn

OLD, NEW, NEWEST = "I live in Porto.", "I live in Lisbon since May.", "I live in Faro by the sea."
BOB = Scope("bob")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path) as opened:
        yield opened


def events(record: MemoryRecord) -> list[Event]:
    return [entry.event for entry in record.history]


async def test_a_new_fact_takes_the_place_of_the_old_one_in_one_step(bench: Bench) -> None:
    (old,) = await bench.say(OLD, type=MemoryType.PROCEDURAL, importance=0.9)
    generation = await bench.gate.edits.generation("anna")
    new = await bench.corrections.supersede(ANNA, old.id, NEW)
    assert await bench.gate.edits.generation("anna") == generation + 1
    assert await bench.visible() == [NEW]
    kept = await bench.kept()
    assert (kept[old.id].superseded_by, kept[new.id].links) == (new.id, (old.id,))
    assert (new.type, new.importance, new.source) == (MemoryType.PROCEDURAL, 0.9, Source.API)
    assert (events(kept[old.id]), kept[old.id].history[0].ref) == ([Event.SUPERSEDED], new.id)
    assert (events(kept[new.id]), kept[new.id].history[0].ref) == ([Event.CREATED], old.id)


async def test_a_re_added_fact_changes_nothing(bench: Bench) -> None:
    (old,) = await bench.say(OLD)
    new = await bench.corrections.supersede(ANNA, old.id, NEW)
    before = await bench.gate.edits.generation("anna")
    assert (await bench.corrections.supersede(ANNA, old.id, NEW.upper())).id == new.id
    assert (await bench.corrections.supersede(ANNA, new.id, NEW)).id == new.id
    assert await bench.gate.edits.generation("anna") == before
    with pytest.raises(InvalidRequest, match="replaced before"):
        await bench.corrections.supersede(ANNA, old.id, NEWEST)


async def test_a_fact_that_is_remembered_already_takes_the_place_itself(bench: Bench) -> None:
    old, held = await bench.say(OLD, NEW)
    assert (await bench.corrections.supersede(ANNA, old.id, NEW)).id == held.id
    assert await bench.visible() == [NEW]
    back = await bench.corrections.undo(ANNA, old.id)
    assert back.id == old.id
    assert await bench.visible() == [OLD, NEW]
    assert (await bench.kept())[held.id].links == ()


async def test_undoing_brings_the_old_one_back_and_undoing_that_the_new_one(bench: Bench) -> None:
    (old,) = await bench.say(OLD)
    new = await bench.corrections.supersede(ANNA, old.id, NEW)
    for named, expected in ((new.id, OLD), (new.id, NEW), (old.id, OLD), (old.id, NEW)):
        await bench.corrections.undo(ANNA, named)
        assert await bench.visible() == [expected]
    assert len(await bench.kept()) == 2


async def test_a_chain_is_shown_whole_from_any_link_and_undone_from_its_end(bench: Bench) -> None:
    (first,) = await bench.say(OLD)
    bench.clock.ms += 1000
    second = await bench.corrections.supersede(ANNA, first.id, NEW)
    bench.clock.ms += 1000
    third = await bench.corrections.supersede(ANNA, second.id, NEWEST)
    for one in (first, second, third):
        chain = await bench.corrections.chain(ANNA, one.id)
        assert [record.id for record in chain] == [first.id, second.id, third.id]
    with pytest.raises(InvalidRequest, match="undo that first"):
        await bench.corrections.undo(ANNA, first.id)
    await bench.corrections.undo(ANNA, third.id)
    await bench.corrections.undo(ANNA, second.id)
    assert await bench.visible() == [OLD]
    assert [record.id for record in await bench.corrections.chain(ANNA, first.id)] == [first.id, second.id, third.id]


async def test_what_replaced_nothing_cannot_be_undone(bench: Bench) -> None:
    (only,) = await bench.say(OLD)
    with pytest.raises(InvalidRequest, match="nothing to undo"):
        await bench.corrections.undo(ANNA, only.id)


async def test_a_text_that_must_not_be_found_replaces_nothing(bench: Bench) -> None:
    (old,) = await bench.say(OLD)
    for text, code in ((INJECTION, "quarantined"), ("You are a helpful assistant.", "not_storable")):
        with pytest.raises(InvalidRequest) as fault:
            await bench.corrections.supersede(ANNA, old.id, text)
        assert (fault.value.code, fault.value.param) == (code, "content")
    assert await bench.visible() == [OLD]
    assert len(await bench.kept()) == 1


async def test_extraction_replaces_nothing_that_is_believed_more(bench: Bench) -> None:
    (old,) = await bench.say(OLD)
    draft = MemoryDraft(NEW, source=Source.EXTRACTION, trust=Trust.MODEL)
    with pytest.raises(InvalidRequest, match="believed less"):
        await bench.corrections.supersede(ANNA, old.id, draft, actor=Actor.EXTRACTION)
    assert await bench.visible() == [OLD]


async def test_a_replacement_that_a_deletion_covers_is_not_made(bench: Bench) -> None:
    (old,) = await bench.say(OLD)
    begun, draft = bench.clock.ms, MemoryDraft(NEW, source=Source.EXTRACTION, conversation_id="c1")
    bench.clock.ms += 10
    await bench.eraser.forget_conversation(ANNA, "c1", actor=Actor.OWNER)
    with pytest.raises(InvalidRequest):
        await bench.corrections.supersede(ANNA, old.id, draft, actor=Actor.EXTRACTION, begun_at=begun)
    assert await bench.visible() == [OLD]


async def test_nobody_corrects_what_is_not_his(bench: Bench) -> None:
    (mine,) = await bench.say(OLD)
    corrections = bench.corrections
    for scope in (BOB, Scope("anna", "work")):
        for attempt in (
            corrections.supersede(scope, mine.id, NEW),
            corrections.undo(scope, mine.id),
            corrections.pin(scope, mine.id),
            corrections.release(scope, mine.id),
            corrections.edit(scope, mine.id, MemoryEdit(importance=0)),
            corrections.chain(scope, mine.id),
            corrections.history(scope, mine.id),
        ):
            with pytest.raises(NotFound):
                await attempt
    assert (await bench.kept())[mine.id].history == ()


async def test_a_history_tells_how_a_memory_came_to_be_and_what_happened_since(bench: Bench) -> None:
    (outcome,) = await bench.write(turn(OLD))
    record = outcome.record
    assert record is not None
    await bench.corrections.pin(ANNA, record.id, actor=Actor.OPERATOR)
    await bench.corrections.edit(ANNA, record.id, MemoryEdit(importance=0.1, expires_at=None))
    first, pinned, edited = await bench.corrections.history(ANNA, record.id)
    assert first == HistoryEntry(record.created_at, Event.CREATED, Actor.ROUTER, "conversation", "c1")
    assert (pinned.event, pinned.actor) == (Event.PINNED, Actor.OPERATOR)
    assert (edited.event, edited.rule) == (Event.EDITED, "importance expires_at")


async def test_a_pin_and_other_changes_are_one_step(bench: Bench) -> None:
    (record,) = await bench.say(OLD)
    generation = await bench.gate.edits.generation("anna")
    edited = await bench.corrections.edit(ANNA, record.id, MemoryEdit(importance=0.9, pinned=True))
    assert await bench.gate.edits.generation("anna") == generation + 1
    assert (edited.importance, edited.pinned, events(edited)) == (0.9, True, [Event.EDITED, Event.PINNED])


async def test_pinning_twice_is_noted_once(bench: Bench) -> None:
    (record,) = await bench.say(OLD)
    for pin in (bench.corrections.pin, bench.corrections.pin, bench.corrections.unpin, bench.corrections.unpin):
        record = await pin(ANNA, record.id)
    assert (record.pinned, events(record)) == (False, [Event.PINNED, Event.UNPINNED])


async def test_an_expiry_can_be_taken_away_and_left_as_it_is(bench: Bench) -> None:
    (record,) = await bench.say(OLD, expires_at=bench.clock.ms + 10_000)
    same = await bench.corrections.edit(ANNA, record.id, MemoryEdit(importance=0.2, expires_at=UNSET))
    assert same.expires_at == record.expires_at
    assert (await bench.corrections.edit(ANNA, record.id, MemoryEdit(expires_at=None))).expires_at is None


async def test_an_edited_text_is_screened_and_kept_apart_where_it_must_be(bench: Bench) -> None:
    (record,) = await bench.say(OLD)
    masked = await bench.corrections.edit(ANNA, record.id, MemoryEdit(content="My card: 4111 1111 1111 1111, Porto."))
    assert "4111" not in masked.content
    apart = await bench.corrections.edit(ANNA, record.id, MemoryEdit(content=INJECTION))
    assert apart.quarantine == "ignore_instructions"
    assert await bench.visible() == []
    right = await bench.corrections.edit(ANNA, record.id, MemoryEdit(content=NEW))
    assert (right.quarantine, await bench.visible()) == (None, [NEW])


async def test_of_two_edits_of_the_same_sight_one_is_refused(bench: Bench) -> None:
    (record,) = await bench.say(OLD)
    bench.clock.ms += 1000
    edits = [
        bench.corrections.edit(ANNA, record.id, MemoryEdit(content=text), seen_at=record.updated_at)
        for text in (NEW, "I moved to Madrid in May, next to the old station.")
    ]
    first, second = await asyncio.gather(*edits, return_exceptions=True)
    refused = [error for error in (first, second) if isinstance(error, InvalidRequest)]
    assert [error.code for error in refused] == [CHANGED_MEANWHILE]
    (kept,) = [record for record in (first, second) if isinstance(record, MemoryRecord)]
    assert await bench.visible() == [kept.content]


async def test_a_quarantined_memory_is_found_once_it_is_released(bench: Bench) -> None:
    (outcome,) = await bench.write(MemoryDraft(INJECTION))
    record = outcome.record
    assert record is not None
    for _ in range(2):
        free = await bench.corrections.release(ANNA, record.id)
        assert events(free) == [Event.QUARANTINED, Event.RELEASED]
    assert await bench.visible() == [INJECTION]
    assert (await bench.quarantined()).total == 0
    (again,) = await bench.write(MemoryDraft(INJECTION))
    assert again.fate is Fate.KNOWN


async def test_releasing_keeps_to_the_cap(tmp_path: Path) -> None:
    async with open_bench(tmp_path, quality_scoring={"max_memories_per_user": 1}) as bench:
        (kept,) = await bench.say(OLD)
        (outcome,) = await bench.write(MemoryDraft(INJECTION))
        assert outcome.record is not None
        await bench.corrections.pin(ANNA, kept.id)
        with pytest.raises(InvalidRequest) as fault:
            await bench.corrections.release(ANNA, outcome.record.id)
        assert fault.value.code == "over_limit"
        await bench.corrections.unpin(ANNA, kept.id)
        await bench.corrections.release(ANNA, outcome.record.id)
        assert await bench.visible() == [INJECTION]


async def test_the_same_correction_at_once_is_made_once(bench: Bench) -> None:
    (old,) = await bench.say(OLD)
    made = await asyncio.gather(*(bench.corrections.supersede(ANNA, old.id, NEW) for _ in range(5)))
    assert len({record.id for record in made}) == 1
    assert len(await bench.kept()) == 2


@pytest.mark.parametrize("made", [False, True])
async def test_a_correction_that_breaks_off_is_made_whole_or_not_at_all(tmp_path: Path, made: bool) -> None:
    async with open_store(tmp_path) as store:
        broken = BrokenStore(store, made=made)
        bench = Bench(broken, MemorySettings())
        (old,) = await bench.say(OLD)
        broken.broken = True
        with pytest.raises(StoreUnavailable):
            await bench.corrections.supersede(ANNA, old.id, NEW)
        assert await bench.visible() == ([NEW] if made else [OLD])
        broken.broken = False
        new = await bench.corrections.supersede(ANNA, old.id, NEW)
        assert await bench.visible() == [NEW]
        assert set(await bench.kept()) == {old.id, new.id}


async def test_corrections_are_told_to_the_audit_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    (old,) = await bench.say(OLD)
    with caplog.at_level(logging.INFO, logger="memrouter.audit"):
        await bench.corrections.supersede(ANNA, old.id, NEW, actor=Actor.OPERATOR)
        await bench.corrections.undo(ANNA, old.id)
        await bench.corrections.pin(ANNA, old.id)
    told = [(vars(line)["event"], vars(line)["actor"]) for line in caplog.records]
    assert told == [("stored", "operator"), ("restored", "owner"), ("pinned", "owner")]
    assert "Porto" not in caplog.text + str([vars(line) for line in caplog.records])


@settings(max_examples=15)
@given(st.lists(st.sampled_from(["supersede", "undo", "say"]), max_size=12))
async def test_whatever_is_corrected_one_fact_is_found_and_none_is_lost(steps: list[str]) -> None:
    """One subject, corrected and undone in any order: exactly one of its facts can be found at any time."""
    with TemporaryDirectory() as folder:
        async with open_bench(Path(folder)) as bench:
            (current,) = await bench.say("Fact number 0 of this subject.")
            said = 1
            for number, step in enumerate(steps, start=1):
                if step == "supersede":
                    current = await bench.corrections.supersede(
                        ANNA, current.id, f"Fact number {number} of this subject."
                    )
                    said += 1
                elif step == "undo" and said > 1:
                    current = await bench.corrections.undo(ANNA, current.id)
                else:
                    await bench.write(MemoryDraft(current.content))
                assert await bench.visible() == [current.content]
                assert len(await bench.kept()) == said


async def test_deleting_a_memory_deletes_what_it_replaced(bench: Bench) -> None:
    (old,) = await bench.say(OLD)
    new = await bench.corrections.supersede(ANNA, old.id, NEW)
    assert await bench.eraser.forget(ANNA, new.id, actor=Actor.OWNER)
    assert await bench.kept() == {}


async def test_deleting_a_source_takes_the_merged_memory_along_and_frees_the_others(bench: Bench) -> None:
    first, second = await bench.say(OLD, "I like the sea.")
    merged = replace(first, id="merged", content=f"{OLD} I like the sea.", source=Source.CONSOLIDATION)
    merged = replace(merged, links=(first.id, second.id))
    hidden = [replace(record, superseded_by="merged") for record in (first, second)]
    await bench.store.merge([merged, *hidden], mode=MergeMode.REPLACE)
    assert await bench.eraser.forget(ANNA, first.id, actor=Actor.OWNER)
    assert await bench.visible() == ["I like the sea."]
    assert set(await bench.kept()) == {second.id}


async def test_forgetting_a_conversation_leaves_nothing_that_came_from_it(bench: Bench) -> None:
    outcomes = await bench.write(turn(OLD), turn("I like the sea a lot.", 0, conversation="c2"))
    mine, other = [outcome.record for outcome in outcomes]
    assert mine is not None
    assert other is not None
    merged = replace(mine, id="merged", source=Source.CONSOLIDATION, links=(mine.id, other.id), conversation_id=None)
    hidden = [replace(record, superseded_by="merged") for record in (mine, other)]
    purged = replace(merged, id="purged", links=("gone",), history=(from_conversation("c1"),))
    await bench.store.merge([merged, purged, *hidden], mode=MergeMode.REPLACE)
    await bench.say("I said this elsewhere.")
    assert await bench.eraser.forget_conversation(ANNA, "c1", actor=Actor.OWNER) == 3
    assert await bench.visible() == ["I like the sea a lot.", "I said this elsewhere."]
    assert await bench.eraser.forget_conversation(ANNA, "c1", actor=Actor.OWNER) == 0
    assert await bench.eraser.forget_conversation(BOB, "c2", actor=Actor.OWNER) == 0


def from_conversation(name: str) -> HistoryEntry:
    return HistoryEntry(1, Event.CREATED, Actor.CONSOLIDATION, "from_conversation", name)


class BrokenStore(InstrumentedStore):
    """Breaks at the moment of a commit, before or after it was made."""

    def __init__(self, inner: SqliteStore, *, made: bool) -> None:
        super().__init__(inner, observer=Metrics(), clock=ManualClock())
        self._made = made
        self.broken = False

    async def commit(self, change: Change) -> int | None:
        if self.broken and not self._made:
            raise StoreUnavailable("broken before")
        done = await super().commit(change)
        if self.broken:
            raise StoreUnavailable("broken after")
        return done
