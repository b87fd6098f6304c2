import pytest
from benchmarks.targets import TARGETS, Target

MOST = Target("added", "overhead", "added", 3.0, 1.5, " ms")
LEAST = Target("rate", "overhead", "rate", 8.0, 15.0, least=True)


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (MOST, 1.5, "aim reached"),
        (MOST, 1.6, "kept"),
        (MOST, 3.0, "kept"),
        (MOST, 3.1, "**missed**"),
        (LEAST, 15.0, "aim reached"),
        (LEAST, 14.9, "kept"),
        (LEAST, 8.0, "kept"),
        (LEAST, 7.9, "**missed**"),
    ],
)
def test_a_figure_is_judged_by_both_bounds(target: Target, value: float, verdict: str) -> None:
    assert target.verdict(value) == verdict


def test_a_target_without_a_figure_is_not_measured() -> None:
    assert MOST.row({})[-1] == "not measured"


def test_a_measured_target_shows_median_and_range() -> None:
    spread = {"median": 2.0, "low": 1.0, "high": 4.0, "rounds": 5}
    row = MOST.row({"overhead": {"figures": {"added": spread}}})
    assert row == ["added", "at most 3 ms", "1.5 ms", "2.00 ms (1.00 to 4.00)", "kept"]


def test_no_figure_is_bounded_twice() -> None:
    assert len({(target.question, target.figure) for target in TARGETS}) == len(TARGETS)
