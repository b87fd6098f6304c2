"""Answers from memories that are in hand: ranking, and pages and figures of an owner that was read whole."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TypeAlias

import numpy as np

from memrouter.models.memory import MemoryRecord, MemoryType, Source, Vector
from memrouter.stores.query import Candidates, Cursor, ListQuery, Page, ScopeStats
from memrouter.stores.vectors import vector_scores

Ranking: TypeAlias = tuple[list[MemoryRecord], list[float] | None]
"""Memories, best first, and their scores; None for no scores."""

_AGE = attrgetter("created_at", "id")

NO_STATS = ScopeStats(total=0, by_type={}, by_source={}, content_bytes=0, oldest=None, newest=None)


def newest_first(records: Iterable[MemoryRecord]) -> list[MemoryRecord]:
    """Return memories, each id once, in the order of lists."""
    once = {record.id: record for record in records}
    return sorted(once.values(), key=_AGE, reverse=True)


def ranked(records: Iterable[MemoryRecord], vector: Vector | None) -> Ranking:
    """Return memories nearest first with their scores (ties: newest first); newest first where there is no vector."""
    if vector is None:
        return newest_first(records), None
    found = list({record.id: record for record in records}.values())
    if not found:
        return [], []
    matrix = np.concatenate([record.embedding for record in found]).reshape(len(found), -1)
    scores: list[float] = vector_scores(matrix, vector).tolist()
    return _best_first(zip(scores, found, strict=True))


def by_distance(
    records: Sequence[MemoryRecord], distances: Mapping[str, float], *, full: float
) -> tuple[list[MemoryRecord], list[float]]:
    """Return memories nearest first with their scores (ties: newest first), by what a server says of them.

    Args:
        records: Memories, each id once.
        distances: Of each id.
        full: The distance that stands for a score of 0.
    """
    return _best_first([(min(1.0, max(0.0, 1.0 - distances[record.id] / full)), record) for record in records])


def candidates(
    records: Iterable[MemoryRecord], vector: Vector | None, *, complete: bool, generation: int
) -> Candidates:
    """Return memories as the answer to a search."""
    found, scores = ranked(records, vector)
    return Candidates(records=found, scores=scores, complete=complete, generation=generation)


def page(records: Sequence[MemoryRecord], query: ListQuery, *, total: int) -> Page:
    """Return a page.

    Args:
        records: The memories behind the cursor, newest first, one more than the limit where there are more.
        query: What was asked.
        total: How many match in all.
    """
    if len(records) <= query.limit:
        return Page(records=records, total=total, next=None)
    last = records[query.limit - 1]
    return Page(records=records[: query.limit], total=total, next=Cursor(last.created_at, last.id))


def page_of(records: Iterable[MemoryRecord], query: ListQuery) -> Page:
    """Return a page of all memories of a scope."""
    shown = [record for record in newest_first(records) if query.shows(record)]
    after = query.after
    rest = [
        record for record in shown if after is None or (record.created_at, record.id) < (after.created_at, after.id)
    ]
    return page(rest[: query.limit + 1], query, total=len(shown))


def stats_of(records: Iterable[MemoryRecord], *, now: int) -> ScopeStats:
    """Return figures about the visible ones of a scope's memories."""
    visible = [record for record in records if record.visible(now)]
    if not visible:
        return NO_STATS
    by_type: Counter[MemoryType] = Counter(record.type for record in visible)
    by_source: Counter[Source] = Counter(record.source for record in visible)
    return ScopeStats(
        total=len(visible),
        by_type=dict(by_type),
        by_source=dict(by_source),
        content_bytes=sum(len(record.content.encode()) for record in visible),
        oldest=min(record.created_at for record in visible),
        newest=max(record.created_at for record in visible),
    )


def _best_first(scored: Iterable[tuple[float, MemoryRecord]]) -> tuple[list[MemoryRecord], list[float]]:
    rows = [(score, record.created_at, record.id, record) for score, record in scored]
    rows.sort(reverse=True)  # ids differ, so that no two records are ever compared
    return [row[3] for row in rows], [row[0] for row in rows]
