from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from memrouter.config.keeping import DeduplicationSettings
from memrouter.memory.storing.duplicates import Pool, outranked, refreshed
from memrouter.models.history import MAX_HISTORY, Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord, Trust, content_digest, unit
from memrouter.stores.base import Capabilities
from memrouter.testing.records import NOW, RecordFactory

MAKE = RecordFactory(Capabilities("test", 8, "test-model", exact=True)).make
LATER = NOW + 10**9
NEAR = DeduplicationSettings(similarity_threshold=0.9)
TEXTS = st.sampled_from(
    ["I like tea.", "i like TEA.", "I really like tea", "I like tea no more", "Tea.", "I like 2 teas"]
)


def near(record: MemoryRecord, content: str) -> MemoryRecord:
    """Return another memory whose vector is next to that of ``record``."""
    vector = record.embedding.copy()
    vector[0] += 0.05
    return MAKE(content, embedding=unit(vector))


def test_a_near_vector_alone_makes_no_twin() -> None:
    old = MAKE("My flight leaves May 3.")
    pool = Pool([old], room=1, settings=NEAR)
    assert pool.twin(near(old, "My flight leaves May 8.")) is None
    twin = pool.twin(near(old, "my flight leaves on May 3"))
    assert twin is None
    twin = pool.twin(near(old, "My flight really leaves May 3"))
    assert twin is not None
    assert (twin.record, twin.kind) == (old, "near_duplicate")


def test_the_same_words_far_away_make_no_twin() -> None:
    assert Pool([MAKE("I like tea")], room=0, settings=NEAR).twin(MAKE("I really like tea")) is None


@given(st.lists(TEXTS, max_size=12))
def test_no_text_is_added_twice(texts: list[str]) -> None:
    pool = Pool([], room=len(texts), settings=NEAR)
    added = []
    for text in texts:
        record = MAKE(text)
        if pool.twin(record) is None:
            pool.add(record)
            added.append(content_digest(text))
    assert len(added) == len(set(added)) == len({content_digest(text) for text in texts})


@given(st.integers(0, 2**40) | st.none(), st.integers(0, 2**40) | st.none(), st.floats(0, 1), st.floats(0, 1))
def test_said_again_a_memory_gains_and_loses_nothing(
    one: int | None, other: int | None, weight: float, further: float
) -> None:
    old = MAKE("I like tea.", expires_at=one, importance=weight)
    again = MAKE("I LIKE TEA.", expires_at=other, importance=further, trust=Trust.MODEL, conversation_id="c9")
    fresh = refreshed(old, again, kind="exact_duplicate", actor=Actor.ROUTER, now=LATER)
    assert fresh.importance == max(weight, further)
    assert fresh.expires_at == (None if one is None or other is None else max(one, other))
    assert fresh.updated_at == LATER
    unchanged = ("id", "content", "created_at", "trust", "source", "conversation_id")
    assert all(getattr(fresh, name) == getattr(old, name) for name in unchanged)
    assert fresh.history == (HistoryEntry(LATER, Event.REFRESHED, Actor.ROUTER, "exact_duplicate:1", "c9"),)


def test_saying_it_a_thousand_times_leaves_one_entry_and_the_rest_of_the_history() -> None:
    told = tuple(HistoryEntry(number, Event.EDITED, Actor.OWNER) for number in range(MAX_HISTORY - 1))
    old = MAKE("I like tea.", history=told)
    for number in range(1000):
        old = refreshed(old, MAKE("I like tea."), kind="near_duplicate", actor=Actor.OWNER, now=NOW + number)
    assert old.history[:-1] == told
    assert old.history[-1].rule == "near_duplicate:1000"


def test_who_is_believed_more_takes_over_what_the_old_one_had() -> None:
    old = replace(MAKE("I like tea.", trust=Trust.TOOL, importance=0.9), pinned=True)
    heir, gone = outranked(old, MAKE("I like tea."), kind="exact_duplicate", actor=Actor.ROUTER, now=NOW)
    assert (heir.pinned, heir.importance, heir.links, heir.trust) == (True, 0.9, (old.id,), Trust.DIRECT_USER)
    assert (gone.superseded_by, gone.history[-1].event) == (heir.id, Event.SUPERSEDED)
