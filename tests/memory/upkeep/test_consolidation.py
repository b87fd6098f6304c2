"""Merging what says the same: nothing is lost, nothing is there twice, and a second run changes nothing."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memrouter.config.memory import SqliteSettings
from memrouter.memory.upkeep.merging import FROM_CONVERSATION
from memrouter.memory.upkeep.union import key, sentences
from memrouter.models.history import Actor, Event
from memrouter.models.memory import MemoryRecord, Scope, Source, Trust
from memrouter.stores.query import Filter
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import NOW, plain

from .upkeep_bench import DAY, DIMENSION, MODEL, Bench

REX = ("I have a small dog called Rex", "I have a small brown dog called Rex")


async def merged(bench: Bench) -> MemoryRecord:
    """Store two memories that say the same, and return what they become."""
    await bench.keep(*REX)
    report = await bench.upkeep.consolidation.run()
    (merger,) = report.mergers
    assert merger.memory_id is not None
    return (await bench.active())[merger.memory_id]


async def test_a_merged_memory_keeps_the_best_and_the_worst_of_its_sources(bench: Bench) -> None:
    one, other = REX
    await bench.keep(
        one, importance=0.9, access_count=3, last_accessed=NOW + 50, expires_at=NOW + 2 * DAY, conversation_id="c1",
        turn_index=4, role="turn", links=("x",),
    )  # fmt: skip
    await bench.keep(
        other, trust=Trust.DOCUMENT, access_count=4, last_accessed=NOW + 70, expires_at=NOW + 3 * DAY,
        conversation_id="c2", role="turn",
    )  # fmt: skip
    report = await bench.upkeep.consolidation.run()
    (record,) = (await bench.active()).values()
    assert report.mergers[0].sources == ("m001", "m002")
    assert record.content == "\n".join(REX)
    assert (record.created_at, record.updated_at) == (NOW + 1, NOW + 2)
    assert (record.importance, record.trust, record.source) == (0.9, Trust.DOCUMENT, Source.CONSOLIDATION)
    assert (record.access_count, record.last_accessed, record.expires_at) == (7, NOW + 70, NOW + 3 * DAY)
    assert (record.conversation_id, record.turn_index, record.role) == (None, None, "turn")
    assert record.links == ("m001", "m002", "x")
    assert {entry.ref for entry in record.history if entry.rule == FROM_CONVERSATION} == {"c1", "c2"}
    assert (await bench.embedder.embed([record.content]))[0].tobytes() == record.embedding.tobytes()
    for source_id in ("m001", "m002"):
        source = (await bench.everything())[source_id]
        assert source.superseded_by == record.id
        last = source.history[-1]
        assert (last.event, last.actor, last.ref) == (Event.CONSOLIDATED, Actor.CONSOLIDATION, record.id)


async def test_one_that_never_expires_makes_the_merged_one_stay(bench: Bench) -> None:
    await bench.keep(REX[0], expires_at=NOW + 2 * DAY)
    await bench.keep(REX[1])
    await bench.upkeep.consolidation.run()
    assert [record.expires_at for record in (await bench.active()).values()] == [None]


async def test_a_dry_run_changes_nothing_and_names_the_sources(bench: Bench) -> None:
    await bench.keep(*REX, "Something else")
    before = {memory_id: plain(record) for memory_id, record in (await bench.everything()).items()}
    report = await bench.upkeep.consolidation.run(dry_run=True)
    assert [(merger.memory_id, merger.sources) for merger in report.mergers] == [(None, ("m001", "m002"))]
    assert report.fewer == 1
    assert {memory_id: plain(record) for memory_id, record in (await bench.everything()).items()} == before


async def test_a_text_that_does_not_pass_the_screening_is_not_merged(bench: Bench) -> None:
    guarded = Bench(bench.store, refuse=frozenset({"brown"}))
    await guarded.keep(*REX)
    report = await guarded.upkeep.consolidation.run()
    assert (report.refused, report.mergers) == (1, [])
    assert len(await guarded.active()) == 2


async def test_a_run_ends_at_its_bound_and_the_next_goes_on(bench: Bench) -> None:
    await bench.keep(*REX, "Our car is a red Volvo from Sweden", "Our car is a red old Volvo from Sweden")
    await bench.keep(*REX, user_id="bob")
    first = await bench.upkeep.consolidation.run(most=1)
    assert (len(first.mergers), first.finished) == (1, False)
    second = await bench.upkeep.consolidation.run(most=5)
    assert (len(second.mergers), second.finished) == (2, True)


async def test_only_the_user_and_project_that_are_meant_change(bench: Bench) -> None:
    for user_id, project_id in (("alice", "a"), ("alice", "b"), ("bob", "a")):
        await bench.keep(*REX, user_id=user_id, project_id=project_id)
    report = await bench.upkeep.consolidation.run(user_id="alice", project_id="b")
    assert (report.users, report.memories, len(report.mergers)) == (1, 2, 1)
    assert {record.project_id for record in (await bench.active()).values() if record.links} == {"b"}
    assert len(await bench.active("bob")) == 2


async def test_a_write_between_planning_and_merging_costs_no_second_embedding(bench: Bench) -> None:
    await bench.keep(*REX)
    store, interruptions = bench.store, ["write"]

    class Interrupting:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        async def commit(self, change: object) -> int | None:
            if interruptions:
                interruptions.pop()
                await bench.keep("Something else")
            answer: int | None = await store.commit(change)
            return answer

    busy = Bench(Interrupting())
    assert len((await busy.upkeep.consolidation.run()).mergers) == 1
    assert busy.embedder.texts == 1
    assert len(await bench.active()) == 2


async def test_a_source_that_is_deleted_meanwhile_does_not_come_back_in_a_merged_text(bench: Bench) -> None:
    await bench.keep(*REX)
    store = bench.store

    class Deleting(Bench):
        def _accepts(self, text: str, trust: Trust) -> bool:
            return super()._accepts(text, trust)

    busy = Deleting(store)
    embed = busy.embedder.embed

    async def embed_late(texts: Sequence[str]) -> object:
        await store.delete(Scope("alice"), Filter(ids=frozenset({"m001"})))
        return await embed(texts)

    busy.embedder.embed = embed_late  # type: ignore[method-assign,assignment] # the moment between reading and writing
    report = await busy.upkeep.consolidation.run()
    assert (report.outdated, report.mergers) == (1, [])
    assert set(await bench.everything()) == {"m002"}


TEXTS = st.lists(
    st.lists(
        st.sampled_from(
            [
                "I like tea.",
                "I like green tea.",
                "We like tea.",
                "Tea at 5.",
                "Rex barks.",
                "Q: Is it tea? It is.",
                "I like no tea.",
            ]
        ),
        min_size=1,
        max_size=3,
    ).map(" ".join),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25)
@given(texts=TEXTS)
async def test_no_sentence_is_lost_the_number_never_rises_and_a_second_run_changes_nothing(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("store") / "memories.db"
    store = await SqliteStore.open(
        SqliteSettings(path=str(path), synchronous="normal"), dimension=DIMENSION, embedding_model=MODEL
    )
    try:
        bench = Bench(store)
        await bench.keep(*texts)
        report = await bench.upkeep.consolidation.run()
        active, after = await bench.active(), await bench.everything()
        said = {key(*each) for text in texts for each in sentences(text)}
        assert {key(*each) for record in active.values() for each in sentences(record.content)} == said
        assert len(active) == len(texts) - report.fewer <= len(texts)
        for record in after.values():
            assert record.superseded_by is None or record.superseded_by in after
        again = await bench.upkeep.consolidation.run()
        assert again.mergers == []
        assert {each: plain(record) for each, record in (await bench.everything()).items()} == {
            each: plain(record) for each, record in after.items()
        }
    finally:
        await store.aclose()
