import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from memrouter.memory.retrieval.evidence import BASE, COVERAGE, CROWD, FEW, evidence

SHARES = st.floats(0, 1)
SIDES = st.lists(st.tuples(SHARES, SHARES), min_size=1, max_size=12)


def arrays(sides: list[tuple[float, float]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    both = np.array(sides, dtype=np.float64)
    return both[:, 0].copy(), both[:, 1].copy()


@given(SIDES, st.floats(0, 1))
def test_scores_are_between_zero_and_one(sides: list[tuple[float, float]], strange: float) -> None:
    scores = evidence(*arrays(sides), strange)
    assert ((scores >= 0) & (scores <= 1)).all()


@given(SIDES, st.floats(0, 1), st.data())
def test_a_better_side_or_a_less_strange_name_never_lowers_a_score(
    sides: list[tuple[float, float]], strange: float, data: st.DataObject
) -> None:
    before = evidence(*arrays(sides), strange)
    side, row = data.draw(st.integers(0, 1)), data.draw(st.integers(0, len(sides) - 1))
    both = arrays(sides)
    both[side][row] = max(both[side][row], data.draw(SHARES))
    assert (evidence(*both, strange) >= before - 1e-12).all()
    assert (evidence(*arrays(sides), min(strange, data.draw(SHARES))) >= before - 1e-12).all()


def test_one_memory_is_scored_by_its_own_evidence() -> None:
    scores = evidence(np.array([0.6]), np.array([0.5]), 0.0)
    assert scores.tolist() == pytest.approx([0.6 + COVERAGE * 0.5 + BASE - CROWD * math.log(1 + 1 / FEW)])


def test_among_many_the_same_similarity_says_less() -> None:
    crowd = evidence(np.full(600, 0.6), np.zeros(600), 0.0)
    assert crowd[0] == pytest.approx(0.6 + BASE - CROWD * math.log(1 + 600 / FEW))


def test_a_strong_memory_brings_a_weaker_one_along_but_not_a_foreign_one() -> None:
    vectors = np.concatenate(([0.8, 0.62, 0.5], np.full(200, 0.4)))
    strong, weaker, foreign = evidence(vectors, np.zeros(203), 0.0)[:3]
    alone = evidence(vectors[1:], np.zeros(202), 0.0)[0]
    assert weaker >= 0.67 > alone
    assert strong > weaker > foreign
    assert foreign < 0.6


def test_strange_names_speak_against_all() -> None:
    all_strange, half, none = (evidence(np.array([0.6]), np.array([0.0]), share)[0] for share in (1.0, 0.5, 0.0))
    assert all_strange < half < none
