"""Figures over time: what rose in which minute, how times are estimated, and that memory stays bounded."""

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.observability.metrics import RETRIEVAL_BOUNDS, Metrics
from memrouter.observability.timeline import Figure, Stretch, Timeline, joined
from memrouter.testing.clock import ManualClock


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def timeline(metrics: Metrics, clock: ManualClock) -> Timeline:
    return Timeline(metrics, clock=clock, most=3)


async def test_each_minute_has_what_was_counted_in_it(timeline: Timeline, metrics: Metrics, clock: ManualClock) -> None:
    metrics.request(route="/v1/memory", method="GET", status=200, seconds=0.01)
    metrics.request(route="/v1/memory", method="GET", status=404, seconds=0.01)
    clock.ms += 60_000
    await timeline.sample()
    metrics.request(route=None, method="GET", status=503, seconds=0.01)
    metrics.memory_status("used", "work")
    metrics.memory_status("used", "")
    clock.ms += 30_000
    first, second = await timeline.stretches()
    assert [first[figure] for figure in (Figure.REQUESTS_2XX, Figure.REQUESTS_4XX, Figure.REQUESTS_5XX)] == [1, 1, 0]
    assert [second[figure] for figure in (Figure.REQUESTS_2XX, Figure.REQUESTS_5XX)] == [0, 1]
    assert (first[Figure.MEMORY_USED], second[Figure.MEMORY_USED]) == (0, 2)
    assert (first.seconds, second.seconds, second.ended_at - first.ended_at) == (60, 30, 30_000)


async def test_every_kind_of_figure_is_read(timeline: Timeline, metrics: Metrics) -> None:
    for word in ("used", "missing", "ignored", "disabled", "policy_blocked", "unavailable"):
        metrics.memory_status(word, "")
    for status in (200, 301, 400, 500):
        metrics.request(route="/", method="GET", status=status, seconds=0.1)
    metrics.stored(1)
    metrics.watch_queue(depth=lambda: 1, dropped=lambda: 0.5, done=lambda: 7, failed=lambda: 0.5)
    for outcome in ("hit", "miss", "stale", "unavailable"):
        metrics.cache_search(outcome)
    metrics.watch_working_set(hits=lambda: 1, misses=lambda: 1, size=lambda: 99)
    metrics.watch_embedding_cache(hits=lambda: 1, misses=lambda: 1)
    metrics.failover(model="m", backend="b")
    metrics.store_operation(backend="sqlite", operation="search", outcome="ok", seconds=0.1)
    metrics.store_operation(backend="sqlite", operation="search", outcome="unavailable", seconds=0.1)
    (now,) = await timeline.stretches()
    assert {figure: now[figure] for figure in Figure} == dict.fromkeys(Figure, 1.0)
    metrics.error("upstream_timeout")
    metrics.error("invalid_request")
    (now,) = await timeline.stretches()
    assert now[Figure.UPSTREAM_FAILURES] == 2


async def test_the_queue_is_a_length_and_not_a_rise(timeline: Timeline, metrics: Metrics) -> None:
    depth = 5
    metrics.watch_queue(depth=lambda: depth, dropped=lambda: 0, done=lambda: 0, failed=lambda: 0)
    await timeline.sample()
    depth = 3
    first, second = await timeline.stretches()
    assert (first[Figure.QUEUE], second[Figure.QUEUE]) == (5, 3)
    assert joined([first, second])[Figure.QUEUE] == 5


async def test_retrieval_times_are_estimated_between_the_bounds(timeline: Timeline, metrics: Metrics) -> None:
    for seconds in (0.0012, 0.0014, 0.0011, 0.04):
        metrics.retrieval(seconds=seconds, results=1)
    (now,) = await timeline.stretches()
    median, slow = now.retrieval_seconds(0.5), now.retrieval_seconds(0.99)
    assert median is not None
    assert slow is not None
    assert 0.001 < median < 0.0015
    assert 0.025 < slow <= 0.05


async def test_without_retrievals_there_is_no_time(timeline: Timeline) -> None:
    (now,) = await timeline.stretches()
    assert now.retrieval_seconds(0.5) is None


async def test_what_takes_longer_than_every_bound_is_the_last_bound(timeline: Timeline, metrics: Metrics) -> None:
    metrics.retrieval(seconds=1000, results=0)
    (now,) = await timeline.stretches()
    assert now.retrieval_seconds(0.99) == RETRIEVAL_BOUNDS[-1]


async def test_old_minutes_give_way(timeline: Timeline, metrics: Metrics, clock: ManualClock) -> None:
    for _ in range(9):
        metrics.stored(1)
        clock.ms += 60_000
        await timeline.sample()
    kept = await timeline.stretches()
    assert [each[Figure.STORED] for each in kept] == [1, 1, 1, 0]


async def test_it_follows_by_itself_until_it_is_closed(metrics: Metrics, clock: ManualClock) -> None:
    timeline = Timeline(metrics, clock=clock, seconds=0.001)
    timeline.start()
    timeline.start()
    async with asyncio.timeout(10):
        while len(await timeline.stretches()) < 3:
            await asyncio.sleep(0.001)
    await timeline.aclose()
    await timeline.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_minute_that_cannot_be_read_is_part_of_the_next_one(
    metrics: Metrics, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    broken = True

    def depth() -> float:
        if broken:
            raise RuntimeError("gone")
        return 0.0

    metrics.watch_queue(depth=depth, dropped=lambda: 0, done=lambda: 0, failed=lambda: 0)
    metrics.stored(4)
    timeline = Timeline(metrics, clock=clock, seconds=0.001)
    with caplog.at_level(logging.ERROR):
        timeline.start()
        async with asyncio.timeout(10):
            while not caplog.records:
                await asyncio.sleep(0.001)
        broken = False
    assert sum(each[Figure.STORED] for each in await timeline.stretches()) == 4
    await timeline.aclose()


@given(st.lists(st.integers(0, 1000), min_size=len(RETRIEVAL_BOUNDS) + 1, max_size=len(RETRIEVAL_BOUNDS) + 1))
def test_a_greater_share_never_takes_less_time(counts: list[int]) -> None:
    stretch = Stretch(0, 60, [0.0] * len(Figure), counts)
    times = [stretch.retrieval_seconds(share / 20) for share in range(1, 21)]
    assert all(time is None for time in times) is (sum(counts) == 0)
    found = [time for time in times if time is not None]
    assert found == sorted(found)
    assert all(0 < time <= RETRIEVAL_BOUNDS[-1] for time in found)


@given(st.lists(st.lists(st.integers(0, 99), min_size=len(Figure), max_size=len(Figure)), min_size=1, max_size=5))
def test_joining_adds_up_counts(rows: list[list[int]]) -> None:
    stretches = [Stretch(at, 60, row, [at] * (len(RETRIEVAL_BOUNDS) + 1)) for at, row in enumerate(rows)]
    whole = joined(stretches)
    assert whole.ended_at == len(rows) - 1
    for position, figure in enumerate(Figure):
        column = [row[position] for row in rows]
        assert whole[figure] == (max(column) if figure is Figure.QUEUE else sum(column))
