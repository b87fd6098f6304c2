"""Times that a question names, resolved against a given moment. English and ISO 8601; UTC."""

import calendar
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import regex
from numpy.typing import NDArray

from memrouter.memory.time_spans import unit_span

MAX_PERIODS = 8
"""Most times that are read from one question."""
DAY_MS = 86_400_000

_MONTHS = tuple(name.casefold() for name in calendar.month_name)
_SHORT = {name.casefold(): number for number, name in enumerate(calendar.month_abbr) if name}
MONTHS_BY_NAME = {**_SHORT, "sept": 9, **{name: number for number, name in enumerate(_MONTHS) if name}}
"""Number of each month, from 1, by its English names, folded."""
WEEKDAYS = {name.casefold(): number for number, name in enumerate(calendar.day_name)}
"""Number of each day of the week, Monday 0, by its English name, folded."""
COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
           "nine": 9, "ten": 10, "couple": 2, "few": 3}  # fmt: skip
"""What English words for small numbers count, the vague ones too."""
CALENDAR_WORDS = frozenset(MONTHS_BY_NAME) | frozenset(WEEKDAYS)
"""Names of months and days, folded; capitalised, but no names of anybody."""

_MONTH = "|".join(sorted(MONTHS_BY_NAME, key=len, reverse=True))
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_COUNT = "|".join(COUNTS)
# What a time is written with, by kind; to see that it is not there takes a tenth of a pattern's search.
_HINTS = {"digit": tuple("0123456789"), "month": tuple(_SHORT), "day": ("day", "night", "morning"),
          "unit": ("day", "week", "month", "year"), "ago": (" ago",)}  # fmt: skip
_EPOCH = date(1970, 1, 1).toordinal()
_WEIGHTS = {"month": (7, 0.8), "year": (15, 0.2)}


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time that a question means.

    Attributes:
        start: First millisecond since the epoch.
        end: The millisecond after its last.
        reach: Days over which its worth falls to 1/e outside: what happened is often told some days later.
        worth: What being inside counts, 0 to 1: a day says more about a memory than a year.
    """

    start: int
    end: int
    reach: float
    worth: float

    def nearness(self, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return ``worth`` for each of ``times`` (milliseconds) inside, less the farther outside."""
        outside = np.maximum(np.maximum(self.start - times, times - (self.end - 1)), 0) / DAY_MS
        near: NDArray[np.float64] = self.worth * np.exp(-outside / self.reach)
        return near


def periods(text: str, *, now: int) -> tuple[Period, ...]:
    """Return the times that ``text`` names, at most MAX_PERIODS.

    Known are days (``2023-05-16``, ``16 May 2023``, ``May 16th``), months (``2023-05``, ``May 2023``, ``in May``,
    ``last May``), years, ``today``, ``yesterday``, days of the week, ``this`` and ``last`` week, weekend, month and
    year, and ``two weeks ago``. Where the year or week is not said, the latest that has begun is meant.

    Args:
        text: A question; parts that are no possible date are passed over.
        now: Milliseconds since the epoch that the question is asked at.
    """
    hinted = _hinted(text.lower())
    if not hinted:
        return ()
    today = date.fromordinal(_EPOCH + min(max(now // DAY_MS, 800), 2_900_000))
    found: list[Period] = []
    left = text
    for needed, pattern, read in _GRAMMAR:
        if not needed <= hinted:
            continue
        matches = list(pattern.finditer(left))
        for match in matches:
            with contextlib.suppress(ValueError, OverflowError):
                found.append(read(match, today))
        if matches:
            left = pattern.sub(lambda match: " " * len(match.group()), left)  # what is read is not read again
        if len(found) >= MAX_PERIODS:
            break
    return tuple(dict.fromkeys(found))[:MAX_PERIODS]


def _hinted(folded: str) -> set[str]:
    return {kind for kind, hints in _HINTS.items() if any(map(folded.__contains__, hints))}


def _span(start: date, end: date, *, reach: float, worth: float) -> Period:
    starts, ends = ((day.toordinal() - _EPOCH) * DAY_MS for day in (start, end))
    return Period(starts, ends, reach, worth)


def _one_day(day: date) -> Period:
    return _span(day, day + timedelta(days=1), reach=5, worth=1)


def _one_month(year: int, month: int) -> Period:
    return _units_back("month", 0, date(year, month, 1))


def _one_year(year: int) -> Period:
    return _units_back("year", 0, date(year, 1, 1))


def _iso(match: "regex.Match[str]", today: date) -> Period:
    year, month = int(match["year"]), int(match["month"])
    return _one_day(date(year, month, int(match["day"]))) if match["day"] else _one_month(year, month)


def _day_of_month(match: "regex.Match[str]", today: date) -> Period:
    month, day = MONTHS_BY_NAME[match["month"].casefold()], int(match["day"])
    if match["year"]:
        return _one_day(date(int(match["year"]), month, day))
    return _one_day(next(each for each in _years(today, month, day) if each <= today))


def _years(today: date, month: int, day: int) -> Iterator[date]:
    """Yield this day of the year in this year and in those before, where it exists."""
    for year in range(today.year, today.year - 9, -1):
        if day <= calendar.monthrange(year, month)[1]:
            yield date(year, month, day)
    raise ValueError


def _month(match: "regex.Match[str]", today: date) -> Period:
    month = MONTHS_BY_NAME[match["month"].casefold()]
    if match["year"]:
        return _one_month(int(match["year"]), month)
    begun = month < today.month or (month == today.month and (match["which"] or "").casefold() != "last")
    return _one_month(today.year if begun else today.year - 1, month)


def _year(match: "regex.Match[str]", today: date) -> Period:
    return _one_year(int(match["year"]))


def _named_day(match: "regex.Match[str]", today: date) -> Period:
    back = {"today": 0, "tonight": 0, "this": 0, "yesterday": 1, "last": 1, "the": 2}
    return _one_day(today - timedelta(days=back[match["word"].split()[0].casefold()]))


def _weekday(match: "regex.Match[str]", today: date) -> Period:
    back = (today.weekday() - WEEKDAYS[match["weekday"].casefold()]) % 7
    return _one_day(today - timedelta(days=back or (7 if (match["which"] or "").casefold() == "last" else 0)))


def _unit(match: "regex.Match[str]", today: date) -> Period:
    back = 1 if match["which"].casefold() in ("last", "past", "previous") else 0
    return _units_back(match["unit"].casefold(), back, today)


def _ago(match: "regex.Match[str]", today: date) -> Period:
    count = match["count"].casefold()
    return _units_back(match["unit"].casefold(), COUNTS[count] if count in COUNTS else int(count), today)


def _units_back(unit: str, back: int, today: date) -> Period:
    span = unit_span(unit, -back, today)
    reach, worth = _WEIGHTS.get(unit, (5, 1))
    return _span(span.first, span.last + timedelta(days=1), reach=reach, worth=worth)


_Read = Callable[["regex.Match[str]", date], Period]
_Rule = tuple[frozenset[str], "regex.Pattern[str]", _Read]


def _rule(needed: str, pattern: str, read: _Read) -> _Rule:
    """Return how a time is read, where each kind of hint is there that it needs."""
    return frozenset(needed.split()), regex.compile(pattern, regex.IGNORECASE | regex.ASCII), read


# The longer forms first; a bare "may" or "march" is a verb, unless a year or a preposition stands beside it.
_GRAMMAR: tuple[_Rule, ...] = (
    _rule("digit", rf"\b{_YEAR}-(?P<month>\d\d)(?:-(?P<day>\d\d))?\b", _iso),
    _rule("digit month", rf"\b{_DAY}(?: of)? (?P<month>{_MONTH})\b\.?(?:,? {_YEAR}\b)?", _day_of_month),
    _rule("digit month", rf"\b(?P<month>{_MONTH})\.? {_DAY}\b(?:,? {_YEAR}\b)?", _day_of_month),
    _rule("digit month", rf"\b(?P<which>)(?P<month>{_MONTH})\b\.?,?(?: of)? {_YEAR}\b", _month),
    _rule(
        "month",
        rf"\b(?P<which>in|last|this|since|during|of|early|late|mid)[ -](?P<month>{_MONTH})\b(?P<year>)",
        _month,
    ),
    _rule("digit", rf"\b{_YEAR}\b", _year),
    _rule("day", r"\b(?P<word>the day before yesterday|yesterday|today|tonight|this morning|last night)\b", _named_day),
    _rule("day", rf"\b(?:(?P<which>last|this|on) )?(?P<weekday>{'|'.join(WEEKDAYS)})\b", _weekday),
    _rule("unit", r"\b(?P<which>this|last|past|previous) (?P<unit>weekend|week|month|year)\b", _unit),
    _rule("unit ago", rf"\b(?P<count>\d{{1,3}}|{_COUNT})(?: of)? (?P<unit>day|weekend|week|month|year)s? ago\b", _ago),
)
