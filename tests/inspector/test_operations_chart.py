"""Pictures of numbers: everything stands within the frame, bars stack up, gaps stay gaps."""

import math

from hypothesis import given
from hypothesis import strategies as st

from memrouter.inspector.operations.chart import SIZE, Series, amount, ceiling, draw

NUMBERS = st.one_of(st.none(), st.floats(0, 1e9, allow_nan=False), st.integers(0, 10**7).map(float))


@st.composite
def some_series(drawing: st.DrawFn) -> list[Series]:
    length = drawing(st.integers(1, 9))
    rows = drawing(st.lists(st.lists(NUMBERS, min_size=length, max_size=length), min_size=1, max_size=4))
    return [Series(f"series {number}", "good", row) for number, row in enumerate(rows)]


@given(some_series())
def test_bars_stand_within_the_frame_and_on_each_other(series: list[Series]) -> None:
    length = len(series[0].values)
    chart = draw("c", "C", series, range(length), [str(each) for each in range(length)])
    for bar in chart.bars:
        assert SIZE.left <= bar.x
        assert bar.x + bar.width <= SIZE.width - SIZE.right + 1
        assert SIZE.top - 0.6 <= bar.y
        assert bar.y + bar.height <= SIZE.height - SIZE.bottom + 0.6
    assert len(chart.bars) == sum(bool(value) for each in series for value in each.values)
    assert chart.is_empty is not any(chart.bars)


@given(some_series())
def test_lines_stand_within_the_frame_and_end_at_gaps(series: list[Series]) -> None:
    length = len(series[0].values)
    chart = draw("c", "C", series, range(length), [""] * length, kind="lines")
    for each, line in zip(series, chart.lines, strict=True):
        assert len(line.dots) == sum(value is not None for value in each.values)
        assert all(SIZE.left <= x <= SIZE.width - SIZE.right for x, _ in line.dots)
        assert all(SIZE.top - 0.1 <= y <= SIZE.height - SIZE.bottom + 0.1 for _, y in line.dots)
    assert not chart.bars


def test_a_gap_parts_a_line() -> None:
    chart = draw("c", "C", [Series("s", "good", [1.0, 2.0, None, 3.0, 4.0])], range(5), [""] * 5, kind="lines")
    assert len(chart.lines[0].pieces) == 2


@given(st.floats(1e-6, 1e12))
def test_the_ceiling_is_round_and_not_far_above(value: float) -> None:
    top = ceiling(value)
    assert value <= top <= value * 2.5
    assert math.isclose(top / 10 ** math.floor(math.log10(top) + 1e-9) % 1, 0, abs_tol=1e-6)


def test_amounts_are_short() -> None:
    assert [amount(value) for value in (0, 0.25, 12, 1500, 2_000_000)] == ["0", "0.25", "12", "1.5k", "2M"]
    assert ceiling(0) == 1
    assert ceiling(math.inf) == 1


def test_there_are_about_six_labels_and_the_newest_has_one() -> None:
    for length in (1, 5, 60, 96):
        labels = [str(number) for number in range(length)]
        chart = draw("c", "C", [Series("s", "good", [0.0] * length)], range(length), labels)
        assert chart.moments[-1].label == labels[-1]
        assert len(chart.moments) <= 7
        assert chart.is_empty
