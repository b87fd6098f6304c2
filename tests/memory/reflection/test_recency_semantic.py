"""The reflection algorithm that prefers newer memories and says each thing once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.memory import ReflectionSettings
from memrouter.memory.hits import Hit
from memrouter.memory.reflection.recency_semantic import RECENCY_SHARE, recency, recency_semantic
from memrouter.models.memory import Source, unit

from ..hits import DAY, NOW, axis, hit


def ids(*hits: Hit, **settings: Any) -> list[str]:
    return [each.record.id for each in recency_semantic(hits, ReflectionSettings(**settings), now=NOW).kept]


def test_a_newer_memory_passes_an_older_one_of_nearly_the_same_score() -> None:
    assert ids(hit("old", 0.80, days=300), hit("new", 0.78)) == ["new", "old"]


def test_an_old_but_exact_memory_stays_first() -> None:
    assert ids(hit("old", 0.95, days=5000), hit("new", 0.80)) == ["old", "new"]


def test_the_fused_order_is_kept_where_age_is_the_same() -> None:
    assert ids(hit("a", 0.6), hit("b", 0.9), hit("c", 0.7)) == ["a", "b", "c"]


def test_a_longer_half_life_lets_age_count_less() -> None:
    pair = (hit("old", 0.80, days=60), hit("new", 0.78))
    assert ids(*pair, recency_decay_days=30) == ["new", "old"]
    assert ids(*pair, recency_decay_days=3000) == ["old", "new"]


def test_recency_takes_half_its_share_at_one_half_life_and_never_more_than_all() -> None:
    assert recency(0, 30) == 1
    assert recency(-5 * DAY, 30) == 1
    assert recency(30 * DAY, 30) == pytest.approx(1 - RECENCY_SHARE / 2)
    assert recency(60 * DAY, 30) == pytest.approx(1 - RECENCY_SHARE * 3 / 4)
    assert recency(1e6 * DAY, 30) == pytest.approx(1 - RECENCY_SHARE)


@given(age=st.floats(-1e15, 1e15), older=st.floats(0, 1e15), half_life=st.floats(1e-6, 1e9))
def test_recency_never_grows_with_age(age: float, older: float, half_life: float) -> None:
    assert 1 - RECENCY_SHARE <= recency(age + older, half_life) <= recency(age, half_life) <= 1


def test_of_two_memories_that_say_the_same_the_better_stays() -> None:
    near = unit(np.array([1, 0.2] + [0] * 14))
    hits = (hit("a", 0.9, embedding=axis(0)), hit("b", 0.8, embedding=near), hit("c", 0.7, embedding=axis(5)))
    assert ids(*hits) == ["a", "c"]


def test_the_duplicate_threshold_is_on_the_scale_of_vector_scores() -> None:
    apart = unit(np.array([0.6, 0.8] + [0] * 14))  # cosine 0.6, score 0.8
    pair = (hit("a", embedding=axis(0)), hit("b", embedding=apart))
    assert ids(*pair, dedup_threshold=0.81) == ["a", "b"]
    assert ids(*pair, dedup_threshold=0.80) == ["a"]


def test_a_duplicate_names_the_nearest_of_the_better_ones() -> None:
    near = unit(np.array([1, 0.4] + [0] * 14))
    nearer = unit(np.array([1, 0.5] + [0] * 14))
    hits = (hit("a", 0.9, embedding=axis(0)), hit("b", 0.8, embedding=near), hit("c", 0.7, embedding=nearer))
    selection = recency_semantic(hits, ReflectionSettings(dedup_threshold=0.97), now=NOW)
    assert [(each.hit.record.id, each.of) for each in selection.dropped] == [("c", "b")]


def test_a_session_window_and_a_turn_it_contains_are_duplicates_either_way() -> None:
    turn = hit("a", content="Q: my cat?\nA: Luna.")
    window = hit("b", content="Q: hi\nA: yes\n---\nQ: my  cat?\nA: Luna.", source=Source.SESSION_WINDOW)
    assert ids(turn, window) == ["a"]
    assert ids(window, turn) == ["b"]
    assert ids(window, hit("c", content="Q: my dog?")) == ["b", "c"]


def test_dates_that_only_the_turn_has_do_not_make_it_another_one() -> None:
    turn = hit("a", content="Q: my cat came yesterday (2026-11-21)\nA: Luna?")
    window = hit("b", content="Q: my cat came yesterday\nA: Luna?\n---\nQ: ok", source=Source.SESSION_WINDOW)
    assert ids(turn, window) == ["a"]


def test_text_within_text_is_no_duplicate_without_a_session_window() -> None:
    assert ids(hit("a", content="my cat is Luna, 5"), hit("b", content="my cat is Luna")) == ["a", "b"]


def test_no_hits_give_none() -> None:
    assert ids() == []
