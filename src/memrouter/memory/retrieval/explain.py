"""Why a memory was found, or was not. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from memrouter.memory.hits import Hit, Recall, Traced
from memrouter.memory.reflection.drops import Selection
from memrouter.memory.reflection.recency_semantic import recency
from memrouter.memory.retrieval.words import Analyzer

MAX_CANDIDATES: Final = 50
"""Candidates that are explained, the best ones; hits and the near miss are explained wherever they stand."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What led to a hit's score.

    Attributes:
        cosine: Of query and memory, -1 to 1; the vector score is (1 + cosine) / 2.
        margin: How far the score lies above the threshold.
        matched_terms: Index terms (stems) that query and memory share, in the order of the query.
    """

    cosine: float
    margin: float
    matched_terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NearMiss:
    """The best memory that fell short.

    Attributes:
        id: Its id.
        score: What was compared with the threshold.
        threshold: What it would have had to reach.
        short_by: The difference, above 0.
    """

    id: str
    score: float
    threshold: float
    short_by: float


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """What became of one memory on its way into the prompt.

    Attributes:
        traced: What ranking made of it.
        moves: By how many places the final order has it higher than each signal alone; negative = lower.
        recency: Factor of its age on its standing in the reflection filter.
        matched_terms: Index terms that query and memory share.
        place: Where it would stand among the injected memories, from 1; None where it would not be injected.
        dropped: Why not; None where it would be injected.
        duplicate_of: Id of the better memory that says the same.
    """

    traced: Traced
    moves: Mapping[str, int]
    recency: float
    matched_terms: tuple[str, ...]
    place: int | None
    dropped: str | None
    duplicate_of: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """The explanation of a whole recall.

    Attributes:
        candidates: In the final order of ranking.
        omitted: How many more there were.
    """

    candidates: tuple[Candidate, ...]
    omitted: int


def explain(hit: Hit, query: str, *, threshold: float, analyzer: Analyzer) -> Explanation:
    """Return why ``hit`` was found for ``query``; CPU work in proportion to both texts."""
    return Explanation(
        cosine=2 * hit.vector_score - 1,
        margin=hit.score - threshold,
        matched_terms=_shared(analyzer.terms(query), hit.record.content, analyzer),
    )


def near_miss(trace: Sequence[Traced], threshold: float) -> NearMiss | None:
    """Return the best of those that the threshold dropped; None where it dropped none."""
    short = [traced for traced in trace if traced.dropped == "threshold"]
    if not short:
        return None
    best = max(short, key=lambda traced: traced.score)
    return NearMiss(best.record.id, best.score, threshold, threshold - best.score)


def explain_all(
    recall: Recall, selection: Selection, query: str, *, now: int, half_life_days: float, analyzer: Analyzer
) -> Trail:
    """Return what became of every candidate; CPU work in proportion to the texts of those that are explained.

    Args:
        recall: With its trace.
        selection: What the reflection filter made of its hits.
        query: What was asked.
        now: Milliseconds since the epoch.
        half_life_days: Of the recency that the filter counts in.
        analyzer: Turns texts into index terms.
    """
    miss = max((t.score for t in recall.trace if t.dropped == "threshold"), default=None)
    shown = [
        traced
        for place, traced in enumerate(recall.trace)
        if place < MAX_CANDIDATES or traced.dropped is None or (traced.dropped == "threshold" and traced.score == miss)
    ]
    places = {hit.record.id: place for place, hit in enumerate(selection.kept, start=1)}
    drops = {each.hit.record.id: each for each in selection.dropped}
    terms = tuple(analyzer.terms(query))

    def candidate(traced: Traced) -> Candidate:
        drop = drops.get(traced.record.id)
        return Candidate(
            traced=traced,
            moves={name: rank - traced.ranks["final"] for name, rank in traced.ranks.items() if name != "final"},
            recency=recency(now - traced.record.created_at, half_life_days),
            matched_terms=_shared(terms, traced.record.content, analyzer),
            place=places.get(traced.record.id),
            dropped=traced.dropped if drop is None else drop.reason.value,
            duplicate_of=None if drop is None else drop.of,
        )

    return Trail(tuple(map(candidate, shown)), len(recall.trace) - len(shown))


def _shared(terms: Sequence[str], content: str, analyzer: Analyzer) -> tuple[str, ...]:
    held = frozenset(analyzer.terms(content))
    return tuple(term for term in dict.fromkeys(terms) if term in held)
