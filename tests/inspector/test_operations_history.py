"""The timeline as charts: a fixed axis, minutes joined, gaps where the process did not run."""

from memrouter.inspector.operations.history import SPANS, charts, hot_cache_rate, slots_of, span_named
from memrouter.observability.metrics import RETRIEVAL_BOUNDS
from memrouter.observability.timeline import Figure, Stretch

MINUTE = 60_000
NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z


def minute(ended_at: int, *, retrievals: int = 0, **figures: float) -> Stretch:
    values = [figures.get(figure.value, 0.0) for figure in Figure]
    return Stretch(ended_at, 60.0, values, [0.0, float(retrievals), *([0.0] * (len(RETRIEVAL_BOUNDS) - 1))])


def test_the_axis_reaches_back_as_far_as_was_asked_for() -> None:
    for span in SPANS:
        slots = slots_of([minute(NOON)], span)
        assert len(slots) == span.minutes // span.step
        assert [slot.stretch is not None for slot in slots] == [False] * (len(slots) - 1) + [True]
        assert slots[-1].ended_at == NOON


def test_minutes_share_a_bar_by_the_clock() -> None:
    span = span_named("day")
    minutes = [minute(NOON + MINUTE * number, stored=1) for number in range(1, 31)]
    slots = slots_of(minutes, span)
    assert [slot.stretch and slot.stretch[Figure.STORED] for slot in slots[-3:]] == [None, 15, 15]


def test_what_is_older_than_the_span_is_left_out() -> None:
    slots = slots_of([minute(NOON - 120 * MINUTE, stored=9), minute(NOON, stored=1)], span_named("hour"))
    assert sum(slot.stretch[Figure.STORED] for slot in slots if slot.stretch) == 1


def test_an_unknown_span_is_the_shortest() -> None:
    assert span_named("<script>") is SPANS[0]


def test_charts_tell_in_words_what_they_show() -> None:
    slots = slots_of(
        [minute(NOON, retrievals=4, requests_2xx=7, requests_5xx=2, memory_used=3, cache_hit=3, cache_miss=1)],
        span_named("hour"),
    )
    told = {chart.name: chart.summary for chart in charts(slots)}
    assert told["requests"].startswith("7 2xx served")
    assert "2 5xx failed" in told["requests"]
    assert told["memory"].startswith("3 used")
    assert told["hits"] == "Hits: hot cache 75%."
    assert told["retrieval"].startswith("4 retrievals: half took at most about 0.375 ms")
    assert told["stored"].startswith("0 memories stored")


def test_an_idle_process_has_charts_that_say_so() -> None:
    drawn = charts(slots_of([minute(NOON)], span_named("hour")))
    assert all(chart.is_empty for chart in drawn)
    assert {"Nothing was retrieved.", "No cache was asked for anything."} <= {chart.summary for chart in drawn}


def test_a_rate_without_questions_is_no_rate() -> None:
    assert hot_cache_rate(minute(NOON)) is None
    assert hot_cache_rate(minute(NOON, cache_unavailable=2)) == 0
