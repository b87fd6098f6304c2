from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.time_spans import TimeSpan, day_span, month_span, unit_span, week_span, year_span

SUNDAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("unit", "shift", "shown"),
    [
        ("day", 0, "2026-11-22"),
        ("day", -22, "2026-10-31"),
        ("week", 0, "2026-11-16/2026-11-22"),
        ("week", 1, "2026-11-23/2026-11-29"),
        ("weekend", 0, "2026-11-21/2026-11-22"),
        ("weekend", -1, "2026-11-14/2026-11-15"),
        ("month", 0, "2026-11"),
        ("month", -11, "2025-12"),
        ("month", 2, "2027-01"),
        ("year", -1, "2025"),
    ],
)
def test_a_unit_is_counted_from_today(unit: str, shift: int, shown: str) -> None:
    assert unit_span(unit, shift, SUNDAY).iso() == shown


def test_a_month_that_begins_a_week_is_no_week() -> None:
    assert month_span(2027, 2).iso() == "2027-02"
    assert week_span(date(2027, 2, 1)) == TimeSpan(date(2027, 2, 1), date(2027, 2, 7))
    assert year_span(476).iso() == "0476"


@given(st.dates(), st.sampled_from(["day", "week", "weekend", "month", "year"]))
def test_today_s_unit_holds_today_but_for_weekends(today: date, unit: str) -> None:
    try:
        span = unit_span(unit, 0, today)
    except OverflowError:
        assert today.year in (1, 9999)
        return
    assert span.first <= span.last
    assert unit == "weekend" or span.first <= today <= span.last
    assert day_span(today).iso() == today.isoformat()


@given(st.dates(), st.sampled_from(["day", "week", "weekend", "month", "year"]), st.integers())
def test_what_no_calendar_holds_is_an_error_of_value(today: date, unit: str, shift: int) -> None:
    try:
        span = unit_span(unit, shift, today)
    except (ValueError, OverflowError):
        return
    assert span.first <= span.last
