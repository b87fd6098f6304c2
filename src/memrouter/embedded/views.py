"""Memories and reports as the client shows them too, so that a program may move from one to the other. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from memrouter.client.answers import (
    Consolidation,
    FoundMemory,
    HistoryEvent,
    ImportReport,
    Memory,
    Merger,
    SearchResult,
    Stats,
)
from memrouter.errors import InvalidRequest
from memrouter.memory.hits import Recall
from memrouter.memory.storing.drafts import MAX_TIME_MS
from memrouter.memory.upkeep.report import ConsolidationReport
from memrouter.models.history import HistoryEntry
from memrouter.models.memory import MemoryRecord
from memrouter.stores.query import ScopeStats
from memrouter.transfer.report import ImportReport as TransferReport

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES: Final = frozenset({"created_at", "updated_at", "last_accessed", "expires_at"})
_PLAIN: Final = tuple(name for name in Memory.__struct_fields__ if name not in _TIMES)


def moment(ms: int) -> datetime:
    """Return milliseconds since the epoch as an aware time; what lies past the year 9999 as its end."""
    return _EPOCH + timedelta(milliseconds=min(max(ms, 0), MAX_TIME_MS))


def milliseconds(time: datetime) -> int:
    """Return an aware time as milliseconds since the epoch.

    Raises:
        InvalidRequest: It names no time zone.
    """
    if time.tzinfo is None:
        raise InvalidRequest("a time must name its zone, such as datetime.now(UTC)", param="expires_at")
    return (time - _EPOCH) // timedelta(milliseconds=1)


def memory_of(record: MemoryRecord) -> Memory:
    """Return a memory as its owner sees it."""
    return Memory(**_fields(record))


def result_of(recall: Recall, *, threshold: float) -> SearchResult:
    """Return what a search found."""
    found = tuple(
        FoundMemory(
            **_fields(hit.record), score=hit.score, vector_score=hit.vector_score, lexical_score=hit.lexical_score
        )
        for hit in recall.hits
    )
    return SearchResult(memories=found, best_miss=recall.best_miss, considered=recall.considered, threshold=threshold)


def events_of(entries: Sequence[HistoryEntry]) -> tuple[HistoryEvent, ...]:
    """Return what happened to a memory."""
    return tuple(
        HistoryEvent(at=moment(entry.at), event=entry.event, actor=entry.actor, rule=entry.rule, ref=entry.ref)
        for entry in entries
    )


def stats_of(stats: ScopeStats) -> Stats:
    """Return figures."""
    return Stats(
        total=stats.total,
        by_type={str(name): count for name, count in stats.by_type.items()},
        by_source={str(name): count for name, count in stats.by_source.items()},
        content_bytes=stats.content_bytes,
        oldest=None if stats.oldest is None else moment(stats.oldest),
        newest=None if stats.newest is None else moment(stats.newest),
    )


def consolidation_of(report: ConsolidationReport) -> Consolidation:
    """Return what was merged."""
    return Consolidation(
        dry_run=report.dry_run,
        merged=tuple(
            Merger(
                id=merger.memory_id,
                sources=tuple(merger.sources),
                rule=merger.rule,
                similarity=merger.similarity,
                by_model=merger.by_model,
            )
            for merger in report.mergers
        ),
        fewer=report.fewer,
        refused=report.refused,
        outdated=report.outdated,
        finished=report.finished,
    )


def import_of(report: TransferReport) -> ImportReport:
    """Return what became of imported memories."""
    figures = dict(report.outcomes.as_dict())
    refusals = tuple({"line": each.line, "reason": each.reason} for each in report.outcomes.refusals)
    named = {name: figures[name] for name in ImportReport.__struct_fields__ if name in figures}
    return ImportReport(**{**named, "refusals": refusals, "sha256": report.sha256})


def _fields(record: MemoryRecord) -> dict[str, Any]:
    times = {name: getattr(record, name) for name in _TIMES}
    return {
        **{name: getattr(record, name) for name in _PLAIN},
        **{name: None if ms is None else moment(ms) for name, ms in times.items()},
    }
