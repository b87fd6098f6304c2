"""Which memories have to go, and why."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.keeping import QualitySettings, RetentionSettings
from memrouter.memory.upkeep.retention import RetentionRules, Rule
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord
from memrouter.stores.base import Capabilities
from memrouter.testing.record_strategies import LAST_TIME, memories
from memrouter.testing.records import NOW, RecordFactory

DAY = 86_400_000
CAPABILITIES = Capabilities("test", 4, "test", exact=True)
RULES = RetentionRules(QualitySettings(), RetentionSettings())
PRUNE_NONE = RetentionRules(QualitySettings(prune_threshold=0), RetentionSettings())


def memory(**changes: Any) -> MemoryRecord:
    return RecordFactory(CAPABILITIES).make("a fact", **changes)


def entry(event: Event, at: int) -> HistoryEntry:
    return HistoryEntry(at, event, Actor.CONSOLIDATION, None, "other")


def rule_of(record: MemoryRecord, *, days: float, rules: RetentionRules = RULES) -> Rule | None:
    departure = rules.departure(record, now=NOW + round(days * DAY))
    return None if departure is None else departure.rule


def test_a_memory_that_nobody_needed_fades() -> None:
    assert rule_of(memory(), days=56) is None
    assert rule_of(memory(), days=58) is Rule.FADED


def test_a_threshold_of_zero_lets_nothing_fade() -> None:
    assert rule_of(memory(), days=100_000, rules=PRUNE_NONE) is None


@pytest.mark.parametrize("event", [Event.SUPERSEDED, Event.CONSOLIDATED])
def test_what_was_replaced_is_kept_for_as_long_as_it_can_be_undone(event: Event) -> None:
    record = memory(superseded_by="other", history=(entry(event, NOW + 10 * DAY),))
    assert rule_of(record, days=39.9) is None
    assert rule_of(record, days=40) is Rule.REPLACED


def test_what_was_replaced_without_a_history_counts_from_its_last_change() -> None:
    assert rule_of(memory(superseded_by="other"), days=31) is Rule.REPLACED


def test_what_was_quarantined_goes_after_its_days() -> None:
    record = memory(quarantine="role_markers", history=(entry(Event.QUARANTINED, NOW + DAY),))
    assert rule_of(record, days=30.9) is None
    assert rule_of(record, days=31.1) is Rule.QUARANTINED


def test_what_expired_goes_at_once_with_the_days_since_then() -> None:
    departure = RULES.departure(memory(expires_at=NOW), now=NOW + DAY)
    assert departure is not None
    assert departure.rule is Rule.EXPIRED
    assert departure.days == 1


@given(memories(CAPABILITIES), st.integers(0, LAST_TIME))
def test_pinned_memories_go_by_their_own_expiry_alone(record: MemoryRecord, now: int) -> None:
    departure = RULES.departure(record, now=now)
    if record.pinned and departure is not None:
        assert departure.rule is Rule.EXPIRED
    if record.living(now) is False:
        assert departure is not None
