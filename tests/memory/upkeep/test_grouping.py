"""Which memories come together."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.upkeep.grouping import LARGEST_GROUP, Group, Grouping
from memrouter.memory.upkeep.merging import MOST_CONVERSATIONS
from memrouter.memory.upkeep.pace import FullSpeed
from memrouter.memory.upkeep.union import key, sentences
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord, MemoryType, Source, unit
from memrouter.stores.base import Capabilities
from memrouter.testing.records import NOW, RecordFactory

CAPABILITIES = Capabilities("test", 4, "test", exact=True)
EAST = unit(np.array([1.0, 0, 0, 0]))
LATER = NOW + 1000


async def groups(*records: MemoryRecord, threshold: float = 0.9) -> list[Group]:
    return await Grouping(Analyzer(), threshold=threshold).groups(records, now=LATER, pace=FullSpeed())


def pair(**changes: Any) -> tuple[MemoryRecord, MemoryRecord]:
    made = RecordFactory(CAPABILITIES)
    one = made.make("I have a small dog called Rex", embedding=EAST)
    other = made.make("I have a small brown dog called Rex", embedding=EAST)
    return one, replace(other, **changes)


async def test_memories_that_say_the_same_come_together_oldest_first() -> None:
    one, other = pair()
    (group,) = await groups(other, one)
    assert group.members == (one, other)
    assert group.text == "I have a small dog called Rex\nI have a small brown dog called Rex"


async def test_nothing_comes_together_over_a_border() -> None:
    assert not await groups(*pair(project_id="other"))
    assert not await groups(*pair(type=MemoryType.SEMANTIC))
    assert not await groups(*pair(pinned=True))
    assert not await groups(*pair(quarantine="role_markers"))
    assert not await groups(*pair(superseded_by="x"))
    assert not await groups(*pair(expires_at=LATER))
    assert not await groups(*pair(source=Source.SESSION_WINDOW))
    assert not await groups(*pair(content="I have a small dog called Rex ```x```"))


async def test_meaning_alone_and_words_alone_do_not_bring_memories_together() -> None:
    assert not await groups(*pair(embedding=unit(np.array([0, 1.0, 0, 0]))))
    assert not await groups(*pair(content="The weather in Lisbon is fine"))


async def test_memories_that_contradict_each_other_stay_apart() -> None:
    assert not await groups(*pair(content="I have no small dog called Rex"))
    assert not await groups(*pair(content="I have a small dog called Max"))


async def test_what_an_undoing_has_parted_stays_apart() -> None:
    one, other = pair()
    entry = HistoryEntry(NOW, Event.RESTORED, Actor.OWNER, None, "merged")
    assert not await groups(replace(one, history=(entry,)), replace(other, history=(entry,)))
    assert await groups(replace(one, history=(entry,)), other)
    assert not await groups(one, replace(other, history=(replace(entry, ref=one.id),)))


async def test_a_chain_does_not_melt_into_one_group() -> None:
    """Each is near the next, and the ends are far apart."""
    made = RecordFactory(CAPABILITIES)
    chain = [
        made.make(
            f"we meet for dinner at home{' ' * n}", embedding=unit(np.array([np.cos(n / 2), np.sin(n / 2), 0, 0]))
        )
        for n in range(6)
    ]
    found = await groups(*chain)
    assert [len(group.members) for group in found] == [2, 2, 2]
    assert all(group.similarity >= 0.9 for group in found)


async def test_a_crowd_is_merged_in_groups_of_bounded_size_text_and_origin() -> None:
    made = RecordFactory(CAPABILITIES)
    crowd = [made.make("the same words again", embedding=EAST, id=f"x{n}") for n in range(200)]
    assert max(len(group.members) for group in await groups(*crowd)) == LARGEST_GROUP
    long = [made.make(f"{'the same words again ' * 300}{'.' * n}", embedding=EAST) for n in range(1, 9)]
    assert all(len(group.text.encode()) <= 16_384 for group in await groups(*long))
    linked = [replace(record, links=tuple(f"{record.id}/{n}" for n in range(40))) for record in crowd[:4]]
    assert not await groups(*linked)
    entries = tuple(
        HistoryEntry(NOW, Event.CREATED, Actor.CONSOLIDATION, "from_conversation", f"c{n}")
        for n in range(MOST_CONVERSATIONS)
    )
    assert not await groups(replace(crowd[0], history=entries), replace(crowd[1], conversation_id="another"))


SENTENCES = (
    "I like tea.",
    "I like green tea.",
    "We like tea.",
    "I do not like tea.",
    "Tea at 5.",
    "Tea at 6.",
    "Rex barks.",
)


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=3).map(" ".join),
            st.sampled_from([0.0, 0.2, 0.4]),
            st.booleans(),
        ),
        max_size=14,
    )
)
async def test_groups_are_apart_alike_and_lose_no_sentence(memories: list[tuple[str, float, bool]]) -> None:
    made = RecordFactory(CAPABILITIES)
    records = [
        made.make(text, embedding=unit(np.array([np.cos(angle), np.sin(angle), 0, 0])), pinned=pinned)
        for text, angle, pinned in memories
    ]
    found = await groups(*records)
    members = [member.id for group in found for member in group.members]
    assert len(members) == len(set(members))
    for group in found:
        assert len(group.members) >= 2
        assert not any(member.pinned for member in group.members)
        scores = [(1 + float(one.embedding @ other.embedding)) / 2 for one in group.members for other in group.members]
        assert min(scores) >= 0.9 - 1e-6
        said = {key(*each) for member in group.members for each in sentences(member.content)}
        assert said == {key(*each) for each in sentences(group.text)}
