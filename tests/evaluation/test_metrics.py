import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.evaluation.metrics import hit_at, recall_at, reciprocal_rank

RANKED = st.lists(st.sampled_from("abcdefgh"), unique=True)
WANTED = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1)


@pytest.mark.parametrize(
    ("wanted", "k", "recall", "hit"),
    [
        ("a", 1, 1.0, 1.0),
        ("b", 1, 0.0, 0.0),
        ("b", 2, 1.0, 1.0),
        ("ad", 1, 0.5, 1.0),
        ("ad", 4, 1.0, 1.0),
        ("adx", 4, 2 / 3, 1.0),
        ("x", 4, 0.0, 0.0),
    ],
)
def test_recall_and_hit_count_the_wanted_among_the_first_k(wanted: str, k: int, recall: float, hit: float) -> None:
    assert recall_at("abcd", wanted, k) == pytest.approx(recall)
    assert hit_at("abcd", wanted, k) == hit


@pytest.mark.parametrize(("wanted", "value"), [("a", 1.0), ("c", 1 / 3), ("cd", 1 / 3), ("x", 0.0)])
def test_the_reciprocal_rank_is_that_of_the_first_wanted_one(wanted: str, value: float) -> None:
    assert reciprocal_rank("abcd", wanted) == pytest.approx(value)


@given(RANKED, WANTED, st.integers(1, 10))
def test_figures_lie_from_0_to_1_and_never_fall_with_k(ranked: list[str], wanted: list[str], k: int) -> None:
    for measure in (recall_at, hit_at):
        assert 0 <= measure(ranked, wanted, k) <= measure(ranked, wanted, k + 1) <= 1
    assert recall_at(ranked, wanted, k) <= hit_at(ranked, wanted, k)
    assert 0 <= reciprocal_rank(ranked, wanted) <= 1


@given(RANKED, WANTED, st.integers(1, 10))
def test_the_order_of_the_evidence_and_of_the_first_k_does_not_count(
    ranked: list[str], wanted: list[str], k: int
) -> None:
    first, rest = ranked[:k], ranked[k:]
    mixed = [*reversed(first), *rest]
    for measure in (recall_at, hit_at):
        assert measure(mixed, list(reversed(wanted)), k) == measure(ranked, wanted, k)


@given(RANKED, WANTED)
def test_a_hit_at_k_is_a_first_wanted_one_at_place_k_or_better(ranked: list[str], wanted: list[str]) -> None:
    for k in range(1, 10):
        assert hit_at(ranked, wanted, k) == (reciprocal_rank(ranked, wanted) >= 1 / k)
