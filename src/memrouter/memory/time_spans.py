"""Days, weeks, months and years counted from a day: what "last week" means. Pure."""

import calendar
from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """Whole days.

    Attributes:
        first: Its first day.
        last: Its last day.
    """

    first: date
    last: date

    def iso(self) -> str:
        """Return ``2026-11-21`` for a day, ``2026-11`` for a month, ``2026`` for a year, else ``first/last``."""
        if self.first == self.last:
            return self.first.isoformat()
        if self == year_span(self.first.year):
            return f"{self.first.year:04}"
        if self == month_span(self.first.year, self.first.month):
            return f"{self.first.year:04}-{self.first.month:02}"
        return f"{self.first.isoformat()}/{self.last.isoformat()}"


def day_span(day: date) -> TimeSpan:
    """Return a day."""
    return TimeSpan(day, day)


def week_span(day: date) -> TimeSpan:
    """Return the week that a day is in, Monday to Sunday."""
    monday = day - timedelta(days=day.weekday())
    return TimeSpan(monday, monday + timedelta(days=6))


def month_span(year: int, month: int) -> TimeSpan:
    """Return a month, from 1.

    Raises:
        ValueError: There is no such month in the years 1 to 9999.
    """
    first = date(year, month, 1)
    return TimeSpan(first, first.replace(day=calendar.monthrange(year, month)[1]))


def year_span(year: int) -> TimeSpan:
    """Return a year.

    Raises:
        ValueError: It is not one from 1 to 9999.
    """
    return TimeSpan(date(year, 1, 1), date(year, 12, 31))


def unit_span(unit: str, shift: int, today: date) -> TimeSpan:
    """Return the unit of time that lies some units away from today's.

    Args:
        unit: ``day``, ``week``, ``weekend``, ``month`` or ``year``.
        shift: How many units on; negative ones lie back.
        today: Where to count from.

    Raises:
        ValueError, OverflowError: It is not in the years 1 to 9999.
    """
    match unit:
        case "day":
            return day_span(today + timedelta(days=shift))
        case "week":
            return week_span(today + timedelta(weeks=shift))
        case "weekend":
            sunday = week_span(today + timedelta(weeks=shift)).last
            return TimeSpan(sunday - timedelta(days=1), sunday)
        case "month":
            year, month = divmod(today.year * 12 + today.month - 1 + shift, 12)
            return month_span(year, month + 1)
        case _:
            return year_span(today.year + shift)
