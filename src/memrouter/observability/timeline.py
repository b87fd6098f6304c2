"""What the metrics rose by in each of the last minutes: figures over time without a server that collects them."""

import asyncio
import contextlib
import contextvars
import logging
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from memrouter.clock import Clock
from memrouter.observability.metrics import RETRIEVAL_BOUNDS, Metrics

logger = logging.getLogger(__name__)

DAY_MINUTES: Final = 24 * 60
MINUTE_SECONDS: Final = 60.0


class Figure(StrEnum):
    """What is followed over time: counts of a stretch of time, but for ``QUEUE``, which is a length at its end."""

    REQUESTS_2XX = "requests_2xx"
    REQUESTS_3XX = "requests_3xx"
    REQUESTS_4XX = "requests_4xx"
    REQUESTS_5XX = "requests_5xx"
    MEMORY_USED = "memory_used"
    MEMORY_MISSING = "memory_missing"
    MEMORY_IGNORED = "memory_ignored"
    MEMORY_DISABLED = "memory_disabled"
    MEMORY_POLICY_BLOCKED = "memory_policy_blocked"
    MEMORY_UNAVAILABLE = "memory_unavailable"
    STORED = "stored"
    """Memories written from finished turns."""
    QUEUE = "queue"
    """Finished turns that wait to be stored."""
    LOST = "lost"
    """Finished turns that were dropped from the queue, or given up."""
    CACHE_HIT = "cache_hit"
    CACHE_MISS = "cache_miss"
    CACHE_STALE = "cache_stale"
    CACHE_UNAVAILABLE = "cache_unavailable"
    WORKING_SET_HIT = "working_set_hit"
    WORKING_SET_MISS = "working_set_miss"
    EMBEDDING_HIT = "embedding_hit"
    EMBEDDING_MISS = "embedding_miss"
    UPSTREAM_FAILURES = "upstream_failures"
    """Backends passed over after a failure, and requests that no backend answered."""
    STORE_OK = "store_ok"
    """Store calls that the store did as it was asked."""
    STORE_ERRORS = "store_errors"


_POSITION: Final = {figure: position for position, figure in enumerate(Figure)}
_LEVELS: Final = frozenset({Figure.QUEUE})
_NO_FAILURE: Final = frozenset({"ok", "conflict", "cancelled"})
"""Outcomes of a store call that say nothing against the store."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What happened in some stretch of time, most often one minute.

    Attributes:
        ended_at: Milliseconds since the epoch.
        seconds: How long it was; more than asked for where the machine slept.
        values: By the position of each ``Figure``.
        retrievals: How many retrievals took no longer than each of ``RETRIEVAL_BOUNDS`` and longer than the one
            before it; the last is of those that took longer than all.
    """

    ended_at: int
    seconds: float
    values: Sequence[float]
    retrievals: Sequence[float]

    def __getitem__(self, figure: Figure) -> float:
        """Return one figure."""
        return self.values[_POSITION[figure]]

    def retrieval_seconds(self, share: float) -> float | None:
        """Return an estimate of the time that ``share`` (0 to 1) of the retrievals did not exceed; None without any.

        It lies between two of ``RETRIEVAL_BOUNDS``, and is never over the last one.
        """
        wanted, below = share * sum(self.retrievals), 0.0
        if not wanted:
            return None
        for lower, upper, count in zip((0.0, *RETRIEVAL_BOUNDS), RETRIEVAL_BOUNDS, self.retrievals, strict=False):
            if count and below + count >= wanted:
                return lower + (upper - lower) * (wanted - below) / count
            below += count
        return RETRIEVAL_BOUNDS[-1]


def joined(stretches: Sequence[Stretch]) -> Stretch:
    """Return one stretch for several, at least one; a length is the greatest of theirs."""
    values = [
        (max if figure in _LEVELS else sum)(each.values[position] for each in stretches)
        for figure, position in _POSITION.items()
    ]
    retrievals = [sum(counts) for counts in zip(*(each.retrievals for each in stretches), strict=True)]
    return Stretch(stretches[-1].ended_at, sum(each.seconds for each in stretches), values, retrievals)


class Timeline:
    """The figures of one process, minute by minute; one minute takes some 500 bytes.

    They are read off the metrics once a minute, in a thread. Nothing is done where anything is counted.

    Args:
        metrics: What is followed.
        clock: Tells the time.
        seconds: Length of a minute.
        most: How many minutes are kept.
    """

    def __init__(
        self, metrics: Metrics, *, clock: Clock, seconds: float = MINUTE_SECONDS, most: int = DAY_MINUTES
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._seconds = seconds
        self._kept: deque[Stretch] = deque(maxlen=most)
        self._last = _Totals.zero(clock.monotonic())
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow the metrics; needs a running event loop. Calling it again does nothing."""
        if self._task is None:
            # An empty context: what is logged belongs to no request.
            self._task = asyncio.get_running_loop().create_task(self._forever(), context=contextvars.Context())

    async def sample(self) -> None:
        """End the minute that is under way."""
        now = await self._totals()
        self._kept.append(now.since(self._last, ended_at=self._clock.now_ms()))
        self._last = now

    async def stretches(self) -> list[Stretch]:
        """Return the minutes that are kept, oldest first, and the one that is under way."""
        last, kept = self._last, list(self._kept)
        now = await self._totals()
        return [*kept, now.since(last, ended_at=self._clock.now_ms())]

    async def aclose(self) -> None:
        """Follow the metrics no longer; calling it again does nothing."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _forever(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.sample()
            except Exception:
                logger.exception("the figures of a minute could not be read; they will be part of the next one")

    async def _totals(self) -> "_Totals":
        return await asyncio.to_thread(_Totals.of, self._metrics.collect(), self._clock.monotonic())


@dataclass(frozen=True, slots=True)
class _Totals:
    """What was counted since the process began."""

    at: float
    values: "array[float]"
    retrievals: "array[float]"

    @classmethod
    def zero(cls, at: float) -> "_Totals":
        return cls(at, array("d", [0.0] * len(_POSITION)), array("d", [0.0] * (len(RETRIEVAL_BOUNDS) + 1)))

    @classmethod
    def of(cls, families: Iterable[Metric], at: float) -> "_Totals":
        totals = cls.zero(at)
        for family in families:
            read = _READERS.get(family.name)
            if read is not None:
                for sample in family.samples:
                    figure = read(sample)
                    if figure is not None:
                        totals.values[_POSITION[figure]] += sample.value
            elif family.name == "memrouter_retrieval_seconds":
                totals.retrievals[:] = _buckets(family.samples)
        return totals

    def since(self, earlier: "_Totals", *, ended_at: int) -> Stretch:
        values = array("f", (max(0.0, now - was) for now, was in zip(self.values, earlier.values, strict=True)))
        for figure in _LEVELS:
            values[_POSITION[figure]] = self.values[_POSITION[figure]]
        counts = zip(self.retrievals, earlier.retrievals, strict=True)
        return Stretch(ended_at, self.at - earlier.at, values, array("f", (max(0.0, now - was) for now, was in counts)))


def _buckets(samples: Iterable[Sample]) -> "array[float]":
    """Return the counts between the bounds; the histogram counts all below each."""
    below = [0.0, *(sample.value for sample in samples if sample.name.endswith("_bucket"))]
    return array("d", (upper - lower for lower, upper in pairwise(below)))


def _by_label(label: str, figures: Mapping[str, Figure]) -> Callable[[Sample], Figure | None]:
    """Return what a counter's samples count towards, by the value of one label."""
    return lambda sample: figures.get(sample.labels.get(label, "")) if sample.name.endswith("_total") else None


def _always(figure: Figure) -> Callable[[Sample], Figure | None]:
    return lambda sample: figure if not sample.name.endswith("_created") else None


def _request(sample: Sample) -> Figure | None:
    if not sample.name.endswith("_total"):
        return None
    return _CLASSES.get(sample.labels["status"][:1])


def _failed_call(sample: Sample) -> Figure | None:
    if not sample.name.endswith("_total"):
        return None
    return Figure.STORE_OK if sample.labels["outcome"] in _NO_FAILURE else Figure.STORE_ERRORS


_CLASSES: Final = {str(number): Figure(f"requests_{number}xx") for number in (2, 3, 4, 5)}
_STATUSES: Final = {figure.removeprefix("memory_"): figure for figure in Figure if figure.startswith("memory_")}
_CACHE: Final = {figure.removeprefix("cache_"): figure for figure in Figure if figure.startswith("cache_")}
_UPSTREAM: Final = dict.fromkeys(
    ("upstream_unreachable", "upstream_timeout", "upstream_error"), Figure.UPSTREAM_FAILURES
)

_READERS: Final[Mapping[str, Callable[[Sample], Figure | None]]] = {
    "memrouter_requests": _request,
    "memrouter_memory_requests": _by_label("status", _STATUSES),
    "memrouter_memories_stored": _always(Figure.STORED),
    "memrouter_store_queue_depth": _always(Figure.QUEUE),
    "memrouter_store_queue_dropped": _always(Figure.LOST),
    "memrouter_store_queue_failed": _always(Figure.LOST),
    "memrouter_cache_searches": _by_label("outcome", _CACHE),
    "memrouter_working_set_hits": _always(Figure.WORKING_SET_HIT),
    "memrouter_working_set_misses": _always(Figure.WORKING_SET_MISS),
    "memrouter_embedding_cache_hits": _always(Figure.EMBEDDING_HIT),
    "memrouter_embedding_cache_misses": _always(Figure.EMBEDDING_MISS),
    "memrouter_upstream_failovers": _always(Figure.UPSTREAM_FAILURES),
    "memrouter_errors": _by_label("kind", _UPSTREAM),
    "memrouter_store_operations": _failed_call,
}
