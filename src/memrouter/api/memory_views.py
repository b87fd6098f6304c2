"""What the memory routes give: memories, scores and figures as clients see them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, PlainSerializer

from memrouter.api.memory_forms import NEVER_MS
from memrouter.memory.hits import Hit
from memrouter.memory.retrieval.explain import Candidate, Explanation, NearMiss
from memrouter.memory.storing.deposit import Fate, Outcome
from memrouter.memory.storing.drafts import MAX_TIME_MS
from memrouter.memory.storing.erasure import Receipt
from memrouter.models.memory import MemoryRecord, MemoryType, Source, Trust
from memrouter.stores.query import Page, ScopeStats

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(ms: int) -> str:
    """Return milliseconds since the epoch as RFC 3339 in UTC with milliseconds, such as 2026-01-31T09:30:00.000Z."""
    moment = _EPOCH + timedelta(milliseconds=min(max(ms, 0), MAX_TIME_MS))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[int, PlainSerializer(rfc3339, return_type=str)]
"""Milliseconds since the epoch; RFC 3339 in UTC with milliseconds as JSON."""


class MemoryView(BaseModel):
    """A memory as clients see it. Its vector is never shown."""

    id: str
    type: MemoryType
    content: str
    user_id: str
    project_id: str
    source: Source
    trust: Trust
    importance: float
    access_count: int
    created_at: Moment
    updated_at: Moment
    last_accessed: Moment | None
    expires_at: Moment | None
    conversation_id: str | None
    turn_index: int | None
    role: str | None
    superseded_by: str | None
    quarantine: str | None
    """The rule for which it is kept apart and never injected; null where it is not."""
    pinned: bool
    """Whether it stays whatever is pruned."""
    links: list[str]
    """Ids of the memories that it was made from."""
    embedding_model: str

    @classmethod
    def of(cls, record: MemoryRecord) -> "MemoryView":
        """Return the view of a memory."""
        return cls(**_fields(record))


class ExplanationView(BaseModel):
    """Why a memory was found."""

    cosine: float
    """Of query and memory, -1 to 1; ``vector_score`` is (1 + cosine) / 2."""
    margin: float
    """How far ``score`` lies above the threshold."""
    matched_terms: list[str]
    """Stems that query and memory share."""

    @classmethod
    def of(cls, explanation: Explanation) -> "ExplanationView":
        """Return the view of an explanation."""
        return cls(cosine=explanation.cosine, margin=explanation.margin, matched_terms=list(explanation.matched_terms))


class HitView(MemoryView):
    """A memory that a search found, with its scores from 0 to 1."""

    score: float
    vector_score: float
    lexical_score: float
    explanation: ExplanationView | None = None

    @classmethod
    def found(cls, hit: Hit, explanation: Explanation | None) -> "HitView":
        """Return the view of a hit."""
        return cls(
            **_fields(hit.record),
            score=hit.score,
            vector_score=hit.vector_score,
            lexical_score=hit.lexical_score,
            explanation=None if explanation is None else ExplanationView.of(explanation),
        )


class MemoryPage(BaseModel):
    """A page of the caller's memories, newest first."""

    memories: list[MemoryView]
    total: int
    """How many there are in all."""
    limit: int
    next_cursor: str | None
    """Pass it as ``cursor`` for the next page; null on the last one."""

    @classmethod
    def of(cls, page: Page, *, limit: int) -> "MemoryPage":
        """Return the view of a page."""
        return cls(
            memories=[MemoryView.of(record) for record in page.records],
            total=page.total,
            limit=limit,
            next_cursor=page.next.encode() if page.next else None,
        )


class OutcomeView(BaseModel):
    """What became of one memory that was to be added."""

    outcome: Fate
    """``known``: it was remembered already; ``quarantined``: kept apart and not recalled; ``dropped``: not kept."""
    reason: str | None
    """Why it was dropped, how it was known, or the rule of the quarantine."""
    id: str | None
    """The memory that holds it; null where it was dropped."""

    @classmethod
    def of(cls, outcome: Outcome) -> "OutcomeView":
        """Return the view of an outcome."""
        record = outcome.record
        return cls(outcome=outcome.fate, reason=outcome.reason, id=None if record is None else record.id)


class AddedMemories(BaseModel):
    """What became of memories that were to be added."""

    memories: list[MemoryView]
    """Those that hold what was kept, in the order of the request."""
    outcomes: list[OutcomeView]
    """One for each memory of the request, in its order."""

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> "AddedMemories":
        """Return the view of outcomes."""
        return cls(
            memories=[MemoryView.of(outcome.record) for outcome in outcomes if outcome.record is not None],
            outcomes=[OutcomeView.of(outcome) for outcome in outcomes],
        )


class NearMissView(BaseModel):
    """The best memory that fell short of the threshold."""

    id: str
    score: float
    threshold: float
    short_by: float

    @classmethod
    def of(cls, miss: NearMiss) -> "NearMissView":
        """Return the view of a near miss."""
        return cls(id=miss.id, score=miss.score, threshold=miss.threshold, short_by=miss.short_by)


class SignalView(BaseModel):
    """What one signal says about a memory."""

    name: str
    """``vector``, ``words`` and so on; ``fused``: the order before a reranker."""
    value: float | None
    """Null where a signal is an order only."""
    rank: int | None
    """Place by this signal alone, from 1."""
    move: int | None
    """By how many places the final order has the memory higher; negative = lower."""


class CandidateView(BaseModel):
    """What became of one memory on its way into a prompt."""

    id: str
    content: str
    created_at: Moment
    rank: int
    """Place in the final order of ranking, from 1."""
    value: float
    """What that order comes from; comparable within one search only."""
    score: float
    """What was compared with the threshold."""
    margin: float
    """How far ``score`` lies above the threshold; negative = below."""
    signals: list[SignalView]
    recency: float
    """Factor of its age in the reflection filter."""
    matched_terms: list[str]
    place: int | None
    """Where it would stand among the injected memories, from 1."""
    dropped: str | None
    """Why it would not be injected: ``threshold``, ``gap``, ``limit``, ``duplicate``, ``blocked``,
    ``pattern_timeout``, ``algorithm`` or ``budget``."""
    duplicate_of: str | None

    @classmethod
    def of(cls, candidate: Candidate, *, threshold: float) -> "CandidateView":
        """Return the view of a candidate."""
        traced = candidate.traced
        names = dict.fromkeys((*traced.parts, *candidate.moves))
        signals = [
            SignalView(
                name=name, value=traced.parts.get(name), rank=traced.ranks.get(name), move=candidate.moves.get(name)
            )
            for name in names
        ]
        return cls(
            id=traced.record.id,
            content=traced.record.content,
            created_at=traced.record.created_at,
            rank=traced.ranks["final"],
            value=traced.value,
            score=traced.score,
            margin=traced.score - threshold,
            signals=signals,
            recency=candidate.recency,
            matched_terms=list(candidate.matched_terms),
            place=candidate.place,
            dropped=candidate.dropped,
            duplicate_of=candidate.duplicate_of,
        )


class SearchResult(BaseModel):
    """What a search found, best first."""

    memories: list[HitView]
    best_miss: float | None
    """Highest score that fell short of the threshold."""
    considered: int
    """How many memories were ranked."""
    threshold: float
    near_miss: NearMissView | None = None
    """With ``explain``: the memory that ``best_miss`` is the score of."""
    candidates: list[CandidateView] | None = None
    """With ``explain``: the best 50 of those that were ranked, with every hit and the near miss, in the final order."""
    omitted: int | None = None
    """With ``explain``: how many more were ranked."""
    block: str | None = None
    """With ``explain``: what a prompt would be given; empty where nothing would be injected."""


class Deleted(BaseModel):
    """A memory is gone."""

    success: Literal[True] = True
    message: str


class ReceiptView(BaseModel):
    """What was erased, without saying what it was."""

    count: int
    erased_at: Moment
    sha256: str
    """Over the ids of the erased memories, sorted, each followed by a line end; 64 hex digits."""

    @classmethod
    def of(cls, receipt: Receipt) -> "ReceiptView":
        """Return the view of a receipt."""
        return cls(count=receipt.count, erased_at=receipt.erased_at, sha256=receipt.sha256)


class DeletedMany(Deleted):
    """Memories are gone."""

    deleted: int
    receipt: ReceiptView | None = None
    """Only with ``receipt=true``."""

    @classmethod
    def proved(cls, receipt: Receipt, *, shown: bool) -> "DeletedMany":
        """Return what a receipt is for, and where it is ``shown`` the receipt itself."""
        view = ReceiptView.of(receipt) if shown else None
        return cls(message=f"Deleted {receipt.count} memories", deleted=receipt.count, receipt=view)


class Stats(BaseModel):
    """Figures about the caller's visible memories."""

    total: int
    by_type: dict[MemoryType, int]
    by_source: dict[Source, int]
    content_bytes: int
    oldest: Moment | None
    newest: Moment | None

    @classmethod
    def of(cls, stats: ScopeStats) -> "Stats":
        """Return the view of a store's figures."""
        return cls(
            total=stats.total,
            by_type=stats.by_type,
            by_source=stats.by_source,
            content_bytes=stats.content_bytes,
            oldest=stats.oldest,
            newest=stats.newest,
        )


def _fields(record: MemoryRecord) -> dict[str, Any]:
    expires_at = None if record.expires_at == NEVER_MS else record.expires_at
    names = (name for name in MemoryView.model_fields if name != "expires_at")
    return {"expires_at": expires_at, **{name: getattr(record, name) for name in names}}
