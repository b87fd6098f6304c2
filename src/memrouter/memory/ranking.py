"""Which memories of a corpus answer a query, and in which order. Pure."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from memrouter.memory.corpus import Corpus
from memrouter.memory.hits import Hit, Recall
from memrouter.memory.policy import HybridMode, RecallPolicy
from memrouter.models.memory import MemoryRecord, Vector

LEXICAL_LIFT = 0.5
"""Share of the way from the vector score to 1 that a full lexical score lifts the score of a hit."""
WEIGHTED_VECTOR = 0.7
"""Weight of the vector score in mode ``weighted``; the lexical score has the rest."""
RRF_K = 60
"""Constant of reciprocal rank fusion; the value of Cormack, Clarke and Buettcher (2009)."""
NEIGHBOUR_WEIGHT = 0.4
"""Share of its better neighbour's value that a memory gains in mode ``rerank``."""
GAP_MIN = 0.1
"""Smallest gap between two scores at which the adaptive threshold cuts (a cosine apart by 0.2)."""
GAP_RATIO = 3.0
"""How many times the mean of the other gaps that gap must be."""

Values = NDArray[np.float64]


def rank(
    corpus: Corpus,
    vector: Vector,
    terms: Iterable[str],
    policy: RecallPolicy,
    *,
    now: int,
    known: Callable[[MemoryRecord], bool] | None = None,
) -> Recall:
    """Return the relevant memories of a corpus, best first.

    Every memory visible at ``now`` (milliseconds) is a candidate of both sides. The order comes from the fused value,
    ties newest first, then by descending id. The score of a hit stays on the scale of vectors in every mode: vector
    score + (1 - vector score) * LEXICAL_LIFT * lexical score, or the plain vector score without ``policy.hybrid``.
    A hit needs a score of at least ``policy.threshold``. The corpus must hold ``policy.types`` only.

    Args:
        corpus: Whose records to rank; of ``vector``'s dimension.
        vector: The query's unit vector.
        terms: The query's index terms.
        policy: How to rank and what to return.
        now: Milliseconds since the epoch.
        known: Tells which memories the asker has before it already; they are left out before anything is ranked.
    """
    rows = np.flatnonzero(corpus.visible(now))
    if known is not None:
        rows = rows[[not known(corpus.records[row]) for row in rows]]
    if rows.size == 0:
        return Recall((), 0, None)
    vectors = corpus.vector_scores(vector)[rows]
    words = corpus.index.scores(terms)[rows] if policy.hybrid else np.zeros(rows.size)
    scores = lifted(vectors, words)
    values = vectors
    if policy.hybrid:
        values = fuse(vectors, words, policy.mode)
        if policy.mode == "rerank":
            values = values + NEIGHBOUR_WEIGHT * _neighbours(corpus, rows, values)
    passing = scores >= policy.threshold
    order = np.argsort(-np.round(values, 9), kind="stable")
    best = order[passing[order]][: policy.limit]
    if policy.adaptive:
        best = best[before_gap(scores[best])]
    hits = (Hit(corpus.records[rows[i]], float(vectors[i]), float(words[i]), float(scores[i])) for i in best)
    return Recall(tuple(hits), int(rows.size), None if passing.all() else float(scores[~passing].max()))


def lifted(vectors: Values, words: Values) -> Values:
    """Return the scores of hits: vector scores lifted towards 1 by lexical scores; never below the vector scores."""
    scores: Values = np.minimum(1.0, vectors + (1 - vectors) * LEXICAL_LIFT * words)
    return scores


def fuse(vectors: Values, words: Values, mode: HybridMode) -> Values:
    """Return one value a candidate, higher is better, that never falls when one of its two scores rises.

    - ``rerank``: half the vector score, half the lexical score, each stretched to 0..1 over the candidates;
    - ``weighted``: WEIGHTED_VECTOR of the vector score, the rest of the lexical score, as they are;
    - ``rrf``: sum of 1 / (RRF_K + rank) over the sides; equal scores share a rank, no word matched gives nothing.
    """
    match mode:
        case "rerank":
            return 0.5 * _stretched(vectors) + 0.5 * _stretched(words)
        case "weighted":
            return WEIGHTED_VECTOR * vectors + (1 - WEIGHTED_VECTOR) * words
        case "rrf":
            return 1 / (RRF_K + _ranks(vectors)) + np.where(words > 0, 1 / (RRF_K + _ranks(words)), 0.0)


def before_gap(scores: Values) -> NDArray[np.bool_]:
    """Return which hits to keep: all, or those above the largest gap between scores where that gap is pronounced.

    Pronounced is a gap of at least GAP_MIN that is at least GAP_RATIO times the mean of the other gaps.

    Args:
        scores: Of the hits in their order; the first hit is always kept.
    """
    keep = np.ones(scores.size, dtype=np.bool_)
    if scores.size < 2:
        return keep
    falling = -np.sort(-scores)
    gaps = falling[:-1] - falling[1:]
    widest = int(np.argmax(gaps))
    others = np.delete(gaps, widest)
    if gaps[widest] >= max(GAP_MIN, GAP_RATIO * float(others.mean()) if others.size else 0.0):
        keep = scores >= falling[widest]
        keep[0] = True
    return keep


def _stretched(values: Values) -> Values:
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _ranks(values: Values) -> NDArray[np.int64]:
    """Return 1 + the number of higher values, for each value."""
    return 1 + values.size - np.searchsorted(np.sort(values), values, side="right")


def _neighbours(corpus: Corpus, rows: NDArray[np.intp], values: Values) -> Values:
    """Return for each of ``rows`` the best value of the turns before and after its own; 0 where there are none."""
    turns = np.zeros(len(corpus.records) + 1)  # the last place stands for "no neighbour": number -1
    np.maximum.at(turns, corpus.turns[rows], values)
    best: Values = turns[corpus.neighbours[rows]].max(axis=1)
    return best
