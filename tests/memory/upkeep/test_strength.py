"""The forgetting curve, and who makes room first."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from memrouter.config.keeping import QualitySettings
from memrouter.memory.upkeep.strength import last_seen, retention, standing, weakest
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord
from memrouter.stores.base import Capabilities
from memrouter.testing.record_strategies import LAST_TIME, memories
from memrouter.testing.records import NOW, RecordFactory

DAY = 86_400_000
QUALITY = QualitySettings()
CAPABILITIES = Capabilities("test", 4, "test", exact=True)


def memory(**changes: Any) -> MemoryRecord:
    record = RecordFactory(CAPABILITIES).make("a fact", **changes)
    return replace(record, created_at=NOW, updated_at=NOW)


@pytest.mark.parametrize(("importance", "last_day"), [(0.0, 36), (0.5, 56), (1.0, 69)])
def test_days_until_a_memory_fades_are_those_in_the_module_s_words(importance: float, last_day: int) -> None:
    record = memory(importance=importance)
    assert standing(record, now=NOW + last_day * DAY, settings=QUALITY) >= QUALITY.prune_threshold
    assert standing(record, now=NOW + (last_day + 1) * DAY, settings=QUALITY) < QUALITY.prune_threshold


def test_retention_is_the_formula_of_strength_and_days() -> None:
    record = memory(access_count=5, last_accessed=NOW + 10 * DAY)
    assert retention(record, now=NOW + 45 * DAY, settings=QUALITY) == pytest.approx(math.exp(-35 / 35))


def test_neutral_importance_leaves_retention_as_it_is() -> None:
    record = memory(importance=0.5)
    now = NOW + 12 * DAY
    assert standing(record, now=now, settings=QUALITY) == retention(record, now=now, settings=QUALITY)


def test_being_imported_counts_as_being_seen_and_being_consolidated_does_not() -> None:
    imported = HistoryEntry(NOW + 5, Event.CREATED, Actor.IMPORT)
    merged = HistoryEntry(NOW + 9, Event.CONSOLIDATED, Actor.CONSOLIDATION)
    assert last_seen(memory(history=(imported, merged))) == NOW + 5


def test_a_clock_that_went_back_makes_nothing_weaker() -> None:
    assert retention(memory(), now=0, settings=QUALITY) == 1.0


def test_pinned_memories_never_make_room() -> None:
    pinned, other = memory(pinned=True), memory()
    assert weakest([pinned, other], 2, now=NOW, settings=QUALITY) == [other]
    assert weakest([pinned, other], 0, now=NOW, settings=QUALITY) == []


def test_of_two_that_are_as_good_as_gone_the_longer_gone_makes_room_first() -> None:
    old = replace(memory(), id="old", updated_at=NOW - 90_000 * DAY, created_at=NOW - 90_000 * DAY)
    older = replace(old, id="older", updated_at=NOW - 90_001 * DAY, created_at=NOW - 90_001 * DAY)
    assert [each.id for each in weakest([old, older], 2, now=NOW, settings=QUALITY)] == ["older", "old"]


@settings(max_examples=30)
@given(st.lists(memories(CAPABILITIES), max_size=6), st.integers(0, 8), st.integers(0, LAST_TIME))
def test_the_weakest_stand_no_higher_than_any_that_stays(records: list[MemoryRecord], count: int, now: int) -> None:
    gone = weakest(records, count, now=now, settings=QUALITY)
    assert len(gone) == min(count, sum(not record.pinned for record in records))
    stay = [record for record in records if not record.pinned and all(record is not each for each in gone)]

    def stands(record: MemoryRecord) -> float:
        return standing(record, now=now, settings=QUALITY)

    assert all(stands(one) <= stands(other) + 1e-12 for one in gone for other in stay)
