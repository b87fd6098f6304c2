import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.evaluation.bootstrap import Interval, Resamples

VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def test_the_interval_of_a_constant_is_the_constant() -> None:
    assert Resamples([0] * 9, seed=1).interval(np.full(9, 0.25)) == Interval(0.25, 0.25, 0.25)


def test_questions_are_drawn_within_their_conversation_only() -> None:
    values = np.array([0.0] * 5 + [1.0] * 15)
    assert Resamples([0] * 5 + [1] * 15, seed=1).interval(values) == Interval(0.75, 0.75, 0.75)
    loose = Resamples([0] * 20, seed=1).interval(values)
    assert loose.low < 0.75 < loose.high


def test_a_shift_of_every_question_has_no_spread_however_noisy_the_questions_are() -> None:
    noisy = np.random.default_rng(7).random(50)
    paired = Resamples([0] * 50, seed=1).interval((noisy + 0.125) - noisy)
    assert paired.low == pytest.approx(0.125)
    assert paired.high == pytest.approx(0.125)


def test_the_interval_is_about_as_wide_as_the_normal_approximation() -> None:
    values = (np.arange(400) % 2).astype(float)
    found = Resamples([0] * 400, seed=3, rounds=4000).interval(values)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.5 / 20, rel=0.1)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(7).random(40)
    one, same, other = (Resamples([0] * 40, seed=seed).interval(values) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_only_chosen_questions_count_and_none_chosen_gives_zeros() -> None:
    resamples = Resamples([0] * 4, seed=1)
    values = np.array([1.0, 1.0, 0.0, 0.0])
    assert resamples.interval(values, np.array([True, True, False, False])) == Interval(1.0, 1.0, 1.0)
    assert resamples.interval(values, np.zeros(4, dtype=bool)) == Interval(0.0, 0.0, 0.0)


def test_a_single_question_that_many_draws_miss_still_has_an_interval() -> None:
    values = np.array([1.0, *[0.0] * 30])
    assert Resamples([0] * 31, seed=1).interval(values, values > 0) == Interval(1.0, 1.0, 1.0)


@given(VALUES, st.integers(0, 5))
def test_bounds_are_ordered_and_within_the_values(values: list[float], seed: int) -> None:
    found = Resamples([0] * len(values), seed=seed, rounds=50).interval(np.array(values))
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert found.mean == pytest.approx(np.mean(values))
