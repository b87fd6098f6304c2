"""The timeline of this process as charts. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Final

from memrouter.inspector.operations.chart import Chart, Kind, Series, draw
from memrouter.observability.timeline import Figure, Stretch, joined


@dataclass(frozen=True, slots=True)
class Span:
    """How far back charts go.

    Attributes:
        name: In the page's address.
        title: For people.
        minutes: How far back.
        step: Minutes of one bar.
    """

    name: str
    title: str
    minutes: int
    step: int


SPANS: Final = (
    Span("hour", "Last hour", 60, 1),
    Span("six-hours", "Last 6 hours", 360, 5),
    Span("day", "Last 24 hours", 1440, 15),
)

_REQUESTS: Final = (
    ("2xx served", "good", Figure.REQUESTS_2XX),
    ("3xx redirected", "s3", Figure.REQUESTS_3XX),
    ("4xx refused", "warn", Figure.REQUESTS_4XX),
    ("5xx failed", "bad", Figure.REQUESTS_5XX),
)
_STATUSES: Final = (
    ("used", "good", Figure.MEMORY_USED),
    ("missing", "s2", Figure.MEMORY_MISSING),
    ("ignored", "s3", Figure.MEMORY_IGNORED),
    ("disabled", "muted", Figure.MEMORY_DISABLED),
    ("policy_blocked", "s4", Figure.MEMORY_POLICY_BLOCKED),
    ("unavailable", "bad", Figure.MEMORY_UNAVAILABLE),
)
_STORED: Final = (
    ("memories stored", "good", Figure.STORED),
    ("turns waiting", "warn", Figure.QUEUE),
    ("turns lost", "bad", Figure.LOST),
)
_FAILURES: Final = (
    ("upstream failures", "s5", Figure.UPSTREAM_FAILURES),
    ("store errors", "bad", Figure.STORE_ERRORS),
)


def span_named(name: str) -> Span:
    """Return the span of a name; the shortest one for any other."""
    return next((span for span in SPANS if span.name == name), SPANS[0])


@dataclass(frozen=True, slots=True)
class Slot:
    """One place on the time axis.

    Attributes:
        ended_at: Milliseconds since the epoch.
        stretch: What happened; None where this process did not run, or is not followed yet.
    """

    ended_at: int
    stretch: Stretch | None


def slots_of(minutes: Sequence[Stretch], span: Span) -> list[Slot]:
    """Return the places of a span up to now, oldest first, with the minutes of a timeline joined in them.

    Args:
        minutes: At least one, oldest first.
        span: How far back, and how many minutes share a place.
    """
    step = span.step * 60_000
    groups: dict[int, list[Stretch]] = {}
    for minute in minutes:
        groups.setdefault((minute.ended_at - 1) // step, []).append(minute)
    last = (minutes[-1].ended_at - 1) // step
    places = range(last - span.minutes // span.step + 1, last + 1)
    found = {place: joined(groups[place]) for place in places if place in groups}
    return [Slot((place + 1) * step, found.get(place)) for place in places]


def charts(slots: Sequence[Slot]) -> list[Chart]:
    """Return every chart of a span, at least one place of which has anything."""
    times = [slot.ended_at for slot in slots]
    labels = [datetime.fromtimestamp(time / 1000, UTC).strftime("%H:%M") for time in times]
    whole = joined([slot.stretch for slot in slots if slot.stretch is not None])

    def counts(rows: Sequence[tuple[str, str, Figure]]) -> list[Series]:
        return [_series(text, style, slots, itemgetter(figure)) for text, style, figure in rows]

    def drawn(name: str, title: str, series: Sequence[Series], *, unit: str, summary: str, kind: Kind) -> Chart:
        return draw(name, title, series, times, labels, unit=unit, summary=summary, kind=kind)

    retrieval, stored = _retrieval(slots), counts(_STORED)
    requests, statuses, failures = counts(_REQUESTS), counts(_STATUSES), counts(_FAILURES)
    return [
        drawn("requests", "Requests by status", requests, unit="requests", summary=_totals(requests), kind="bars"),
        drawn("memory", "Memory statuses", statuses, unit="chat requests", summary=_totals(statuses), kind="bars"),
        drawn("retrieval", "Time of retrieval", retrieval, unit="ms", summary=_retrieval_told(whole), kind="lines"),
        drawn("hits", "Hit rates of caches", _hit_rates(slots), unit="%", summary=_rates_told(whole), kind="lines"),
        drawn("stored", "Stored, waiting and lost", stored, unit="", summary=_stored_told(whole), kind="lines"),
        drawn("failures", "Failures behind the router", failures, unit="", summary=_totals(failures), kind="bars"),
    ]


def share(stretch: Stretch, hits: Sequence[Figure], misses: Sequence[Figure]) -> float | None:
    """Return how many of a hundred were hits; None where there was neither."""
    hit = sum(stretch[figure] for figure in hits)
    whole = hit + sum(stretch[figure] for figure in misses)
    return 100 * hit / whole if whole else None


def hot_cache_rate(stretch: Stretch) -> float | None:
    """Return the hit rate of the hot cache in percent; None where nothing was asked."""
    return share(stretch, [Figure.CACHE_HIT], [Figure.CACHE_MISS, Figure.CACHE_STALE, Figure.CACHE_UNAVAILABLE])


def working_set_rate(stretch: Stretch) -> float | None:
    """Return the hit rate of the working set in percent; None where nothing was asked."""
    return share(stretch, [Figure.WORKING_SET_HIT], [Figure.WORKING_SET_MISS])


def embedding_rate(stretch: Stretch) -> float | None:
    """Return the hit rate of the cache in front of the embedder in percent; None where nothing was asked."""
    return share(stretch, [Figure.EMBEDDING_HIT], [Figure.EMBEDDING_MISS])


def _series(name: str, style: str, slots: Sequence[Slot], value: Callable[[Stretch], float | None]) -> Series:
    return Series(name, style, [None if slot.stretch is None else value(slot.stretch) for slot in slots])


def _retrieval(slots: Sequence[Slot]) -> list[Series]:
    return [
        _series("half took at most", "s1", slots, lambda each: _milliseconds(each.retrieval_seconds(0.5))),
        _series("99% took at most", "s5", slots, lambda each: _milliseconds(each.retrieval_seconds(0.99))),
    ]


def _hit_rates(slots: Sequence[Slot]) -> list[Series]:
    return [_series(name, style, slots, rate) for name, style, rate in _RATES]


def _totals(series: Sequence[Series]) -> str:
    return ", ".join(f"{sum(filter(None, each.values)):.0f} {each.name}" for each in series) + "."


def _stored_told(whole: Stretch) -> str:
    stored, waiting, lost = (whole[figure] for _, _, figure in _STORED)
    return f"{stored:.0f} memories stored, at most {waiting:.0f} turns waiting, {lost:.0f} turns lost."


def _rates_told(whole: Stretch) -> str:
    told = [f"{name} {found:.0f}%" for name, _, rate in _RATES if (found := rate(whole)) is not None]
    return f"Hits: {', '.join(told)}." if told else "No cache was asked for anything."


def _retrieval_told(whole: Stretch) -> str:
    median, slow = _milliseconds(whole.retrieval_seconds(0.5)), _milliseconds(whole.retrieval_seconds(0.99))
    if median is None or slow is None:
        return "Nothing was retrieved."
    count = sum(whole.retrievals)
    return f"{count:.0f} retrievals: half took at most about {median:.3g} ms, 99% about {slow:.3g} ms."


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


_RATES: Final[tuple[tuple[str, str, Callable[[Stretch], float | None]], ...]] = (
    ("hot cache", "s1", hot_cache_rate),
    ("working set", "s2", working_set_rate),
    ("embedding cache", "s3", embedding_rate),
)
