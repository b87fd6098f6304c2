"""The write gate over a real store."""

import asyncio
import logging
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from memrouter.config.memory import MemorySettings
from memrouter.errors import InvalidRequest, StoreUnavailable
from memrouter.memory.injection.blocks import MARKER
from memrouter.memory.storing.deposit import Fate
from memrouter.memory.storing.drafts import MemoryDraft, MemoryEdit
from memrouter.memory.storing.kept import FEW, MAX_QUARANTINED, SMALL_OWNER
from memrouter.models.history import Actor, Event
from memrouter.models.memory import MemoryType, Scope, Source, Trust, owner_key
from memrouter.observability.metrics import Metrics
from memrouter.stores.instrumented import InstrumentedStore
from memrouter.stores.query import Change, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.clock import ManualClock

from ..gates import ANNA, INJECTION, Bench, open_bench, open_store, turn

FACT = "My cat Luna likes tuna more than chicken."
NEAR = {"deduplication": {"similarity_threshold": 0.85}}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path, **NEAR) as opened:
        yield opened


async def test_what_is_new_is_stored_with_its_outcome(bench: Bench) -> None:
    first, second = await bench.write(turn(FACT), turn("I moved to Porto in 2021.", 1))
    assert (first.fate, second.fate) == (Fate.STORED, Fate.STORED)
    assert await bench.visible() == [FACT, "I moved to Porto in 2021."]
    assert bench.tally.outcomes == [("conversation", "stored")] * 2


async def test_a_text_said_again_elsewhere_refreshes_the_memory_that_holds_it(bench: Bench) -> None:
    (old,) = await bench.say(FACT, importance=0.3)
    (again,) = await bench.write(MemoryDraft(f" {FACT.upper()} ", importance=0.8, conversation_id="c9"))
    assert again.fate is Fate.KNOWN
    assert again.record is not None
    assert (again.record.id, again.record.content, again.record.created_at) == (old.id, FACT, old.created_at)
    assert (again.record.updated_at, again.record.importance) == (bench.clock.ms, 0.8)
    for _ in range(3):
        await bench.write(MemoryDraft(FACT))
    (kept,) = (await bench.kept()).values()
    (entry,) = kept.history
    assert (entry.event, entry.at, entry.rule) == (Event.REFRESHED, bench.clock.ms, "exact_duplicate:4")


async def test_a_text_that_nearly_says_the_same_refreshes_too_and_one_of_other_numbers_does_not(bench: Bench) -> None:
    await bench.say("My flight to Rome leaves on May 3 at 10:30.")
    near = await bench.write(MemoryDraft("My flight to Rome really leaves on May 3 at 10:30"))
    assert [outcome.reason for outcome in near] == ["near_duplicate"]
    other = await bench.write(
        MemoryDraft("My flight to Rome leaves on May 8 at 10:30."),
        MemoryDraft("My flight to Rome never leaves on May 3 at 10:30."),
    )
    assert [outcome.fate for outcome in other] == [Fate.STORED, Fate.STORED]
    assert len(await bench.visible()) == 3


async def test_near_duplicates_are_kept_where_the_configuration_says_so(tmp_path: Path) -> None:
    async with open_bench(tmp_path, deduplication={"enabled": False, "similarity_threshold": 0.5}) as bench:
        await bench.say("I like tea.", "I really like tea.", "I like tea.")
        assert await bench.visible() == ["I like tea.", "I really like tea."]


async def test_replaying_a_conversation_fifty_times_adds_and_changes_nothing(bench: Bench) -> None:
    said = [
        turn(f"Q: What about item {number}?\nA: Item {number} is on shelf {number}.", number) for number in range(5)
    ]
    window = turn("\n---\n".join(draft.content for draft in said[:3]), 2, source=Source.SESSION_WINDOW)
    for draft in (*said, window):
        await bench.write(draft)
    before = {memory_id: record.updated_at for memory_id, record in (await bench.kept()).items()}
    generation = await bench.gate.edits.generation("anna")
    for _ in range(50):
        for draft in (*said, window):
            (outcome,) = await bench.write(draft)
            assert outcome.fate is Fate.KNOWN
    assert {memory_id: record.updated_at for memory_id, record in (await bench.kept()).items()} == before
    assert await bench.gate.edits.generation("anna") == generation


async def test_a_turn_replayed_on_another_day_is_known_though_its_dates_mean_other_days(bench: Bench) -> None:
    said = "Q: I ran a marathon yesterday ({}).\nA: Well done, how was it?"
    (first,) = await bench.write(turn(said.format("2026-11-21"), 0))
    (again,) = await bench.write(turn(said.format("2026-11-22"), 0))
    assert (first.fate, again.fate) == (Fate.STORED, Fate.KNOWN)
    (elsewhere,) = await bench.write(turn(said.format("2026-11-22"), 0, conversation="c2"))
    assert elsewhere.fate is Fate.STORED


async def test_a_replay_does_not_bring_back_what_was_replaced(bench: Bench, tmp_path: Path) -> None:
    (old, _) = await bench.write(turn(FACT, 0), turn("I moved to Porto in 2021.", 1))
    assert old.record is not None
    await bench.corrections.supersede(ANNA, old.record.id, "My cat Luna likes chicken only.")
    for router in (bench, Bench(bench.store, MemorySettings(), seed=2)):
        router.clock.ms = bench.clock.ms + 5000
        (outcome,) = await router.write(turn(FACT, 0))
        assert (outcome.fate, outcome.reason) == (Fate.KNOWN, "replaced_already")
    (elsewhere,) = await bench.write(turn(FACT, 0, conversation="c2"))
    assert elsewhere.fate is Fate.STORED


async def test_another_project_and_another_user_remember_for_themselves(bench: Bench) -> None:
    for scope in (ANNA, Scope("anna", "work"), Scope("Anna")):
        assert [outcome.fate for outcome in await bench.write(MemoryDraft(FACT), scope=scope)] == [Fate.STORED]


async def test_the_same_text_twice_in_one_call_is_stored_once(bench: Bench) -> None:
    outcomes = await bench.write(MemoryDraft(FACT), MemoryDraft(FACT + " "), MemoryDraft("Indeed."))
    assert [outcome.fate for outcome in outcomes] == [Fate.STORED, Fate.KNOWN, Fate.STORED]
    assert len({outcome.record.id for outcome in outcomes if outcome.record}) == 2


async def test_the_users_own_words_take_the_place_of_the_same_text_believed_less(bench: Bench) -> None:
    (tool,) = await bench.write(MemoryDraft(FACT, trust=Trust.TOOL, importance=0.9))
    (own,) = await bench.write(MemoryDraft(FACT))
    assert (own.fate, own.reason) == (Fate.STORED, "higher_trust")
    assert own.record is not None
    assert tool.record is not None
    assert (own.record.trust, own.record.importance, own.record.links) == (Trust.DIRECT_USER, 0.9, (tool.record.id,))
    kept = await bench.kept()
    assert kept[tool.record.id].superseded_by == own.record.id
    (lower,) = await bench.write(MemoryDraft(FACT, trust=Trust.MODEL))
    assert (lower.fate, lower.record.trust if lower.record else None) == (Fate.KNOWN, Trust.DIRECT_USER)


async def test_five_identical_writes_at_once_of_two_routers_give_one_memory(tmp_path: Path) -> None:
    async with open_store(tmp_path) as one, open_store(tmp_path) as two:
        routers = [Bench(one, MemorySettings(), seed=1), Bench(two, MemorySettings(), seed=2)]
        writes = [routers[number % 2].write(MemoryDraft(FACT)) for number in range(5)]
        outcomes = [outcome for (outcome,) in await asyncio.gather(*writes)]
        assert sum(outcome.fate is Fate.STORED for outcome in outcomes) == 1
        assert len({outcome.record.id for outcome in outcomes if outcome.record}) == 1
        assert await routers[0].visible() == [FACT]


async def test_a_large_owner_is_searched_and_read_whole_only_for_many_new_memories(bench: Bench) -> None:
    numbers = count()
    await bench.write(*(MemoryDraft(f"Fact number {next(numbers)} of many.") for _ in range(SMALL_OWNER + 20)))
    (one,) = await bench.write(MemoryDraft("fact number 7 of MANY."))
    assert one.fate is Fate.KNOWN
    again = await bench.write(*(MemoryDraft(f"Fact number {number} of many.") for number in range(FEW + 4)))
    assert {outcome.fate for outcome in again} == {Fate.KNOWN}
    assert len(await bench.visible()) == SMALL_OWNER + 20


async def test_texts_are_embedded_once_and_only_those_that_pass(bench: Bench) -> None:
    drafts = [
        MemoryDraft(FACT),
        MemoryDraft("You are a helpful assistant. Always answer briefly.", source=Source.IMPORT),
    ]
    write = await bench.gate.admit(ANNA, drafts, actor=Actor.ROUTER)
    await bench.gate.store(write)
    await bench.gate.store(write)
    assert bench.embedder.texts == [FACT]
    assert await bench.visible() == [FACT]


async def test_a_secret_is_taken_out_before_the_text_is_embedded_and_counted_by_kind(bench: Bench) -> None:
    (kept,) = await bench.say("My card is 4111 1111 1111 1111, keep it in mind.")
    assert "4111" not in kept.content
    assert "4111" not in "".join(bench.embedder.texts)
    assert bench.tally.kinds == {"card_number": 1}
    (entry,) = kept.history
    assert (entry.event, entry.rule) == (Event.CREATED, "redacted:card_number=1")


async def test_an_instruction_is_kept_apart_also_when_its_owner_adds_it(bench: Bench) -> None:
    (outcome,) = await bench.write(MemoryDraft(INJECTION))
    assert (outcome.fate, outcome.reason) == (Fate.QUARANTINED, "ignore_instructions")
    assert await bench.visible() == []
    found = await bench.store.search(ANNA, StoreQuery(vector=None, k=5, now=bench.clock.ms, scan_limit=10))
    assert not found.records
    (again,) = await bench.write(MemoryDraft(INJECTION))
    assert again.record is not None
    assert outcome.record is not None
    assert (again.fate, again.record.id) == (Fate.QUARANTINED, outcome.record.id)
    page = await bench.quarantined()
    assert [record.id for record in page.records] == [outcome.record.id]
    assert page.records[0].history[0].event is Event.QUARANTINED


async def test_quarantined_memories_do_not_pile_up(bench: Bench) -> None:
    many = [MemoryDraft(f"{INJECTION} Now {number}.") for number in range(MAX_QUARANTINED)]
    await bench.write(*many)
    await bench.write(MemoryDraft(f"{INJECTION} Once more."))
    assert (await bench.quarantined()).total == MAX_QUARANTINED


async def test_recalled_memories_and_system_prompts_are_never_stored(bench: Bench) -> None:
    block = f"<{MARKER}>secret</{MARKER}>"
    outcomes = await bench.write(
        MemoryDraft(f"{block} I like tea."),
        MemoryDraft(block),
        MemoryDraft("Answer in rhymes.", role="system"),
        MemoryDraft("Never say more than needed.", role="developer"),
    )
    assert [outcome.fate for outcome in outcomes] == [Fate.STORED, *[Fate.DROPPED] * 3]
    assert [outcome.reason for outcome in outcomes[1:]] == ["injected_block", "system_prompt", "system_prompt"]
    assert await bench.visible() == ["I like tea."]
    assert bench.tally.reasons == ["injected_block", "system_prompt", "system_prompt"]


async def test_memories_of_a_type_expire_as_configured(tmp_path: Path) -> None:
    async with open_bench(tmp_path, retention={"episodic_days": 2}) as bench:
        drafts = [turn(FACT), MemoryDraft("I like tea."), MemoryDraft("x y", MemoryType.EPISODIC, expires_at=2**41)]
        episodic, semantic, own = [outcome.record for outcome in await bench.write(*drafts)]
        assert episodic is not None
        assert semantic is not None
        assert own is not None
        assert (episodic.expires_at, semantic.expires_at) == (bench.clock.ms + 2 * 86_400_000, None)
        assert own.expires_at == 2**41


async def test_past_the_cap_the_weakest_leave_in_the_same_step_and_pinned_ones_never(tmp_path: Path) -> None:
    async with open_bench(tmp_path, quality_scoring={"max_memories_per_user": 3}) as bench:
        weak, pinned, strong = await bench.say("a weak one", "a pinned one", "a strong one")
        await bench.corrections.edit(ANNA, strong.id, MemoryEdit(importance=1.0))
        await bench.corrections.pin(ANNA, pinned.id)
        await bench.corrections.edit(ANNA, weak.id, MemoryEdit(importance=0.1))
        (outcome,) = await bench.write(MemoryDraft("a new one"), scope=Scope("anna", "work"))
        assert outcome.fate is Fate.STORED
        assert set(await bench.kept()) == {pinned.id, strong.id, outcome.record.id if outcome.record else ""}
        assert bench.tally.gone == 1


async def test_where_all_is_pinned_there_is_no_room(tmp_path: Path) -> None:
    async with open_bench(tmp_path, quality_scoring={"max_memories_per_user": 2}) as bench:
        for record in await bench.say("the first", "the second"):
            await bench.corrections.pin(ANNA, record.id)
        (outcome,) = await bench.write(MemoryDraft("the third"))
        assert (outcome.fate, outcome.reason) == (Fate.DROPPED, "over_limit")
        assert await bench.visible() == ["the first", "the second"]
        (known,) = await bench.write(MemoryDraft("the first"))
        assert known.fate is Fate.KNOWN


async def test_more_new_memories_than_may_be_leave_the_newest_out(tmp_path: Path) -> None:
    async with open_bench(tmp_path, quality_scoring={"max_memories_per_user": 2}) as bench:
        await bench.say("an old one")
        outcomes = await bench.write(*(MemoryDraft(f"new one {name}") for name in "abc"))
        assert [outcome.reason for outcome in outcomes] == [None, None, "over_limit"]
        assert await bench.visible() == ["new one a", "new one b"]


async def test_hidden_memories_do_not_count_towards_the_cap(tmp_path: Path) -> None:
    async with open_bench(tmp_path, quality_scoring={"max_memories_per_user": 2}) as bench:
        first, _ = await bench.say("the first", "the second")
        await bench.corrections.supersede(ANNA, first.id, "the first, put right")
        await bench.write(MemoryDraft(INJECTION))
        assert await bench.visible() == ["the second", "the first, put right"]
        assert len(await bench.kept()) == 4


async def test_a_write_that_was_made_and_seemed_to_fail_is_not_made_twice(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        bench = Bench(LossyStore(store, observer=Metrics(), clock=ManualClock()), MemorySettings())
        write = await bench.gate.admit(ANNA, [turn(FACT), turn(INJECTION, 1)], actor=Actor.ROUTER, begun_at=1)
        with pytest.raises(StoreUnavailable):
            await bench.gate.store(write)
        outcomes = await bench.gate.store(write)
        assert [outcome.fate for outcome in outcomes] == [Fate.KNOWN, Fate.KNOWN]
        assert len(await bench.kept()) == 2


async def test_what_was_deleted_meanwhile_is_not_brought_back(bench: Bench) -> None:
    begun = bench.clock.ms
    write = await bench.gate.admit(ANNA, [turn(FACT)], actor=Actor.ROUTER, begun_at=begun)
    bench.clock.ms += 10
    await bench.eraser.forget_conversation(ANNA, "c1", actor=Actor.OWNER)
    (outcome,) = await bench.gate.store(write)
    assert (outcome.fate, outcome.reason) == (Fate.DROPPED, "deleted_meanwhile")
    assert await bench.kept() == {}
    (later,) = await bench.write(turn(FACT), begun_at=bench.clock.ms + 1)
    assert later.fate is Fate.STORED


async def test_what_is_deleted_between_planning_and_writing_is_not_brought_back(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        slow = HeldStore(store)
        bench, other = Bench(slow, MemorySettings()), Bench(store, MemorySettings(), seed=2)
        writing = asyncio.create_task(bench.write(turn(FACT), begun_at=bench.clock.ms))
        await slow.planned.wait()
        other.clock.ms = bench.clock.ms + 10
        assert await other.eraser.forget_all(ANNA, frozenset(MemoryType), actor=Actor.OWNER) == 0
        slow.go_on.set()
        (outcome,) = await writing
        assert outcome.reason == "deleted_meanwhile"
        assert await bench.kept() == {}


@pytest.mark.parametrize("forgets", ["this router", "another one"])
@pytest.mark.parametrize("said", ["c1", "c2"])
async def test_what_an_owner_deletes_between_two_writes_is_not_brought_back(
    tmp_path: Path, forgets: str, said: str
) -> None:
    async with open_store(tmp_path) as store:
        bench, other = Bench(store, MemorySettings()), Bench(store, MemorySettings(), seed=2)
        await bench.write(turn(FACT, conversation=said), begun_at=bench.clock.ms)
        begun = bench.clock.ms
        late = [turn(f"I painted {number} walls.", number) for number in range(1, 3)]
        writes = [await bench.gate.admit(ANNA, [one], actor=Actor.ROUTER, begun_at=begun) for one in late]
        bench.clock.ms = other.clock.ms = begun + 10
        eraser = bench.eraser if forgets == "this router" else other.eraser
        assert await eraser.forget_conversation(ANNA, "c1", actor=Actor.OWNER) == (1 if said == "c1" else 0)
        for write in writes:
            assert [outcome.reason for outcome in await bench.gate.store(write)] == ["deleted_meanwhile"]
        assert await bench.visible() == ([] if said == "c1" else [FACT])
        (later,) = await bench.write(late[0], begun_at=bench.clock.ms + 1)
        assert later.fate is Fate.STORED


async def test_a_window_does_not_bring_back_the_turn_that_its_owner_deleted_between_two_writes(bench: Bench) -> None:
    (said,) = await bench.write(turn(FACT), begun_at=bench.clock.ms)
    begun = bench.clock.ms
    window = turn(f"{FACT} I painted two walls.", 1, source=Source.SESSION_WINDOW)
    write = await bench.gate.admit(ANNA, [window], actor=Actor.ROUTER, begun_at=begun)
    bench.clock.ms += 10
    assert said.record is not None
    assert await bench.eraser.forget(ANNA, said.record.id, actor=Actor.OWNER)
    assert [outcome.reason for outcome in await bench.gate.store(write)] == ["deleted_meanwhile"]


async def test_a_write_that_somebody_waits_for_comes_after_a_deletion_that_was_answered(bench: Bench) -> None:
    await bench.eraser.forget_all(ANNA, frozenset(MemoryType), actor=Actor.OWNER)
    (outcome,) = await bench.gate.write(ANNA, [MemoryDraft(FACT)], actor=Actor.OWNER)
    assert outcome.fate is Fate.STORED


async def test_a_draft_out_of_range_stores_nothing(bench: Bench) -> None:
    with pytest.raises(InvalidRequest) as fault:
        await bench.write(MemoryDraft("I like tea."), MemoryDraft(FACT, importance=2))
    assert fault.value.param == "importance"
    assert await bench.kept() == {}


async def test_the_audit_log_tells_what_happened_and_neither_text_nor_names(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="memrouter.audit"):
        (outcome,) = await bench.write(turn(FACT, conversation="conversation of anna"), scope=Scope("anna.secret"))
        await bench.write(turn(INJECTION, 3), scope=Scope("anna.secret"))
    stored, quarantined = [vars(record) for record in caplog.records]
    assert outcome.record is not None
    assert (stored["event"], stored["ids"], stored["actor"]) == ("stored", outcome.record.id, "router")
    assert stored["owner"] == owner_key("anna.secret")
    assert (quarantined["event"], quarantined["rule"]) == ("quarantined", "ignore_instructions")
    told = f"{stored}{quarantined}"
    assert not any(word in told for word in ("Luna", "Ignore all", "anna.secret", "conversation of"))


class LossyStore(InstrumentedStore):
    """Makes the first commit and then says that it could not."""

    lost = False

    async def commit(self, change: Change) -> int | None:
        made = await super().commit(change)
        if not self.lost:
            self.lost = True
            raise StoreUnavailable("the answer was lost")
        return made


class HeldStore(InstrumentedStore):
    """Holds the first commit back until it may go on."""

    def __init__(self, inner: SqliteStore) -> None:
        super().__init__(inner, observer=Metrics(), clock=ManualClock())
        self.planned = asyncio.Event()
        self.go_on = asyncio.Event()

    async def commit(self, change: Change) -> int | None:
        self.planned.set()
        await self.go_on.wait()
        return await super().commit(change)
