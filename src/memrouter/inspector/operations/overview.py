"""The first page of operators: what works, what does not and what to do, and what this process is."""

from dataclasses import dataclass

from starlette.responses import Response

from memrouter.api.readiness import Status, overall
from memrouter.inspector.operations.advice import Advice, advice_for, title_of
from memrouter.inspector.operations.history import (
    SPANS,
    embedding_rate,
    hot_cache_rate,
    slots_of,
    working_set_rate,
)
from memrouter.inspector.operations.office import Office
from memrouter.inspector.visit import Visit
from memrouter.observability.timeline import Figure, Stretch, joined


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the router.

    Attributes:
        name: As in ``/ready``.
        title: For people.
        status: Whether it works.
        detail: Why not; empty where it does.
        advice: What to do; None where it works.
    """

    name: str
    title: str
    status: Status
    detail: str
    advice: Advice | None


@dataclass(frozen=True, slots=True)
class Hour:
    """What happened in the last hour in this process; rates in percent, None where there was nothing to count."""

    requests: int
    failed: int
    chats: int
    used: int
    unavailable: int
    stored: int
    waiting: int
    lost: int
    median_ms: float | None
    slow_ms: float | None
    hot_cache: float | None
    working_set: float | None
    embedding_cache: float | None
    upstream_failures: int
    store_errors: int

    @classmethod
    def of(cls, hour: Stretch, now: Stretch) -> "Hour":
        """Return the figures of an hour; ``now`` has the length of the queue."""
        median, slow = hour.retrieval_seconds(0.5), hour.retrieval_seconds(0.99)
        return cls(
            requests=_sum(hour, "requests_"),
            failed=round(hour[Figure.REQUESTS_5XX]),
            chats=_sum(hour, "memory_"),
            used=round(hour[Figure.MEMORY_USED]),
            unavailable=round(hour[Figure.MEMORY_UNAVAILABLE]),
            stored=round(hour[Figure.STORED]),
            waiting=round(now[Figure.QUEUE]),
            lost=round(hour[Figure.LOST]),
            median_ms=None if median is None else median * 1000,
            slow_ms=None if slow is None else slow * 1000,
            hot_cache=hot_cache_rate(hour),
            working_set=working_set_rate(hour),
            embedding_cache=embedding_rate(hour),
            upstream_failures=round(hour[Figure.UPSTREAM_FAILURES]),
            store_errors=round(hour[Figure.STORE_ERRORS]),
        )


async def show_overview(office: Office, visit: Visit) -> Response:
    """Answer with the page; parts that do not work take at most two seconds."""
    runtime = office.desk.runtime
    store = runtime.store
    results = await office.readiness.results()
    parts = [
        Part(
            name,
            title_of(name),
            result.status,
            result.detail,
            None if result.status == "ok" else advice_for(name),
        )
        for name, result in results.items()
    ]
    minutes = await runtime.timeline.stretches()
    hour = joined([slot.stretch for slot in slots_of(minutes, SPANS[0]) if slot.stretch is not None])
    return await office.render(
        visit,
        "overview.html",
        parts=parts,
        overall=overall(results),
        hour=Hour.of(hour, minutes[-1]),
        opened_at=runtime.opened_at,
        settings=runtime.settings,
        backends=runtime.upstream.states(),
        embedder=runtime.embedder_info,
        capabilities=None if store is None else store.capabilities,
        migration=None if runtime.migration is None else runtime.migration.status,
        doctor=office.doctor.last,
    )


def _sum(stretch: Stretch, beginning: str) -> int:
    return round(sum(stretch[figure] for figure in Figure if figure.startswith(beginning)))
