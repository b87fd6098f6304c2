from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.retrieval.dates import _GRAMMAR, _HINTS, MAX_PERIODS, periods

NOW = datetime(2023, 6, 14, 15, 30, tzinfo=UTC)  # a Wednesday
ANY_TEXT = st.text(st.characters())
DATED = st.lists(
    st.sampled_from(
        [
            *["31", "may", "February", "2023", "2023-13-40", "0", "999", "weeks", "ago", "last", "in", "of", "the"],
            *[
                "1900",
                "Sept.",
                "Night",
                "this",
                "morning",
                "weekend",
                "Tuesday",
                "an",
                "DAYS",
                "2021-05",
                "\u0130",
                "3rd",
            ],
        ]
    ),
    max_size=12,
).map(" ".join)


def ms(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def spans(text: str, now: datetime = NOW) -> list[tuple[str, str]]:
    """Return first and last day of every period of a text."""
    found = periods(text, now=round(now.timestamp() * 1000))

    def day(moment: int) -> str:
        return datetime.fromtimestamp(moment / 1000, UTC).date().isoformat()

    return [(day(period.start), day(period.end - 1)) for period in found]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("what was on 2023-05-16?", "2023-05-16", "2023-05-16"),
        ("2023-05", "2023-05-01", "2023-05-31"),
        ("on 16 May 2022", "2022-05-16", "2022-05-16"),
        ("on 16 August, 2022", "2022-08-16", "2022-08-16"),
        ("the 16th of May", "2023-05-16", "2023-05-16"),
        ("May 16th, 2021", "2021-05-16", "2021-05-16"),
        ("Sept. 3", "2022-09-03", "2022-09-03"),
        ("on 29 February", "2020-02-29", "2020-02-29"),
        ("in May 2021", "2021-05-01", "2021-05-31"),
        ("in may", "2023-05-01", "2023-05-31"),
        ("in December", "2022-12-01", "2022-12-31"),
        ("this June", "2023-06-01", "2023-06-30"),
        ("last June", "2022-06-01", "2022-06-30"),
        ("last May", "2023-05-01", "2023-05-31"),
        ("in 2019", "2019-01-01", "2019-12-31"),
        ("today", "2023-06-14", "2023-06-14"),
        ("Yesterday", "2023-06-13", "2023-06-13"),
        ("the day before yesterday", "2023-06-12", "2023-06-12"),
        ("tonight", "2023-06-14", "2023-06-14"),
        ("this morning", "2023-06-14", "2023-06-14"),
        ("last night", "2023-06-13", "2023-06-13"),
        ("on Monday", "2023-06-12", "2023-06-12"),
        ("last Wednesday", "2023-06-07", "2023-06-07"),
        ("this week", "2023-06-12", "2023-06-18"),
        ("last week", "2023-06-05", "2023-06-11"),
        ("last weekend", "2023-06-10", "2023-06-11"),
        ("last month", "2023-05-01", "2023-05-31"),
        ("last year", "2022-01-01", "2022-12-31"),
        ("two weeks ago", "2023-05-29", "2023-06-04"),
        ("a couple of days ago", "2023-06-12", "2023-06-12"),
        ("a few days ago", "2023-06-11", "2023-06-11"),
        ("10 days ago", "2023-06-04", "2023-06-04"),
        ("6 months ago", "2022-12-01", "2022-12-31"),
        ("an year ago", "2022-01-01", "2022-12-31"),
    ],
)
def test_a_time_is_resolved_against_now(text: str, first: str, last: str) -> None:
    assert spans(f"What did I do {text}") == [(first, last)]


@pytest.mark.parametrize(
    "text", ["may I march?", "the mayor of Augusta", "room 2023b", "31 February", "2023-13-01", "0 May 2023x", ""]
)
def test_what_is_no_date_is_not_read_as_one(text: str) -> None:
    assert spans(text) == []


def test_several_times_are_read_once_each() -> None:
    assert spans("between May 2022 and 3 June 2023, or May 2022") == [
        ("2023-06-03", "2023-06-03"),
        ("2022-05-01", "2022-05-31"),
    ]


@given(st.one_of(ANY_TEXT, DATED))
def test_a_pattern_finds_nothing_where_its_hints_are_missing(text: str) -> None:
    for needed, pattern, _ in _GRAMMAR:
        if pattern.search(text):
            assert all(any(hint in text.lower() for hint in _HINTS[kind]) for kind in needed)


def test_nearness_is_full_inside_and_falls_outside() -> None:
    (period,) = periods("yesterday", now=ms(date(2023, 6, 14)))
    days = [date(2023, 6, 13) + timedelta(days=shift) for shift in (-20, -3, 0, 3, 20)]
    near = period.nearness(np.array([ms(day) for day in days]))
    assert near[2] == 1
    assert near[0] < near[1] < 1
    assert near[4] < near[3] < 1


@given(st.one_of(ANY_TEXT, DATED), st.integers(-(2**62), 2**62))
def test_any_text_at_any_time_gives_few_finite_periods(text: str, now: int) -> None:
    found = periods(text, now=now)
    assert len(found) <= MAX_PERIODS
    for period in found:
        assert period.start < period.end
        assert 0 < period.worth <= 1
        assert np.isfinite(period.nearness(np.array([now % 2**50, 0]))).all()
