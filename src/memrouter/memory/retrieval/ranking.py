"""Which memories of a corpus answer a question, and in which order. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from memrouter.config.retrieval import RetrievalSettings
from memrouter.memory.hits import Hit, Recall, Traced
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.retrieval.corpus import Corpus
from memrouter.memory.retrieval.evidence import evidence
from memrouter.memory.retrieval.question import Question
from memrouter.memory.retrieval.signals import Signals, read_signals
from memrouter.models.memory import MemoryRecord, Vector

COPY_SCORE = 0.98
"""``vector_score`` from which two memories with the same index terms count as one: the better one has the place."""
GAP_MIN = 0.1
"""Smallest gap between two scores at which the adaptive threshold cuts (a cosine apart by 0.2)."""
GAP_RATIO = 3.0
"""How many times the mean of the other gaps that gap must be."""

Values = NDArray[np.float64]
_Drop = Literal["threshold", "gap", "limit", "duplicate"]


def rank(
    corpus: Corpus,
    vector: Vector,
    question: Question,
    policy: RecallPolicy,
    *,
    now: int,
    known: Callable[[MemoryRecord], bool] | None = None,
    explain: bool = False,
) -> Recall:
    """Return the relevant memories of a corpus, best first.

    Every memory visible at ``now`` (milliseconds) is a candidate of both sides. The order comes from the fused value,
    ties newest first, then by descending id. A hit needs a score of at least ``policy.threshold``; scores are on the
    scale of vectors and the same in every mode (see ``evidence``), or the plain vector scores without
    ``policy.hybrid``. Of memories that say the same in the same words only the best is a hit. The corpus must hold
    ``policy.types`` only.

    Args:
        corpus: Whose records to rank; of ``vector``'s dimension.
        vector: The question's unit vector.
        question: The question, analysed by the corpus's analyzer.
        policy: How to rank and what to return.
        now: Milliseconds since the epoch.
        known: Tells which memories the asker has before it already; they are left out before anything is ranked.
        explain: Whether to tell of every candidate in ``Recall.trace``.
    """
    visible = corpus.visible(now)
    if known is not None:
        new = np.fromiter((not known(record) for record in corpus.records), np.bool_, len(corpus.records))
        if not new.all():
            visible = new if visible is None else visible & new
    if not corpus.records or (visible is not None and not visible.any()):
        return Recall((), 0, None)
    ranked = _rank(corpus, vector, question, policy, visible)
    chosen, dropped = _choose(corpus, ranked, policy)
    missing = ranked.scores[ranked.scores < policy.threshold]
    return Recall(
        tuple([ranked.hit(corpus, place) for place in chosen]),
        int(ranked.rows.size),
        float(missing.max()) if missing.size else None,
        tuple(_traces(corpus, ranked, chosen, dropped, policy)) if explain else (),
    )


class _Ranked(msgspec.Struct, frozen=True, eq=False):
    """The candidates; every array in the order of ``rows``."""

    rows: NDArray[np.intp]
    signals: Signals
    values: Values
    scores: Values
    order: NDArray[np.intp]

    def hit(self, corpus: Corpus, place: int) -> Hit:
        row = self.rows[place]
        vector, share = self.signals.vector_scores[row], self.signals.lexical_scores[row]
        return Hit(corpus.records[row], float(vector), float(share), float(self.scores[place]))


def _rank(
    corpus: Corpus, vector: Vector, question: Question, policy: RecallPolicy, visible: NDArray[np.bool_] | None
) -> _Ranked:
    rows = np.arange(len(corpus.records)) if visible is None else np.flatnonzero(visible)
    shown = slice(None) if visible is None else rows  # a slice copies nothing
    asked = question if policy.hybrid else Question()
    signals = read_signals(corpus, vector, asked, visible, spelling=policy.ranking.weights.spelling)
    vectors = signals.vector_scores[shown]
    values = scores = vectors
    if policy.hybrid:
        scores = evidence(vectors, signals.coverage[shown], signals.strange_names)
        if policy.mode == "rerank":
            values = signals.total(policy.ranking.weights)[shown]
        else:
            values = fuse(vectors, signals.coverage[shown], policy.mode, policy.ranking)
    return _Ranked(rows, signals, values, scores, (-values.round(9)).argsort(kind="stable"))


def fuse(vectors: Values, words: Values, mode: Literal["weighted", "rrf"], settings: RetrievalSettings) -> Values:
    """Return one value a candidate, higher is better, that never falls when one of its two scores rises.

    - ``weighted``: ``vector_share`` of the vector score, the rest of the other, as they are;
    - ``rrf``: sum of 1 / (``rrf_k`` + rank) over the sides; equal scores share a rank, no word matched gives nothing.
    """
    if mode == "weighted":
        return settings.vector_share * vectors + (1 - settings.vector_share) * words
    by_words = np.where(words > 0, 1 / (settings.rrf_k + _ranks(words)), 0.0)
    return 1 / (settings.rrf_k + _ranks(vectors)) + by_words


def before_gap(scores: Sequence[float]) -> list[bool]:
    """Return which hits to keep: all, or those above the largest gap between scores where that gap is pronounced.

    Pronounced is a gap of at least GAP_MIN that is at least GAP_RATIO times the mean of the other gaps.

    Args:
        scores: Of the hits in their order; the first hit is always kept.
    """
    falling = sorted(scores, reverse=True)
    gaps = [above - below for above, below in pairwise(falling)]
    widest = gaps.index(max(gaps)) if gaps else 0
    others = gaps[:widest] + gaps[widest + 1 :]
    if not gaps or gaps[widest] < max(GAP_MIN, GAP_RATIO * sum(others) / len(others) if others else 0.0):
        return [True] * len(scores)
    floor = falling[widest]
    return [place == 0 or score >= floor for place, score in enumerate(scores)]


def _choose(corpus: Corpus, ranked: _Ranked, policy: RecallPolicy) -> tuple[list[int], dict[int, _Drop]]:
    """Return the places of the hits, best first, and why others that reach the threshold were left out."""
    chosen: list[int] = []
    dropped: dict[int, _Drop] = {}
    taken: dict[tuple[str, ...], list[int]] = {}  # rows of the hits by their terms
    for place in ranked.order[(ranked.scores >= policy.threshold).take(ranked.order)].tolist():
        if len(chosen) == policy.limit:
            break
        row = int(ranked.rows[place])
        alike = taken.setdefault(corpus.terms[row], [])
        if alike and _is_copy(corpus, row, alike):
            dropped[place] = "duplicate"
        else:
            chosen.append(place)
            alike.append(row)
    if policy.adaptive:
        keep = before_gap(ranked.scores.take(chosen).tolist())
        dropped |= {place: "gap" for place, kept in zip(chosen, keep, strict=True) if not kept}
        chosen = [place for place, kept in zip(chosen, keep, strict=True) if kept]
    return chosen, dropped


def _is_copy(corpus: Corpus, row: int, others: Sequence[int]) -> bool:
    """Return whether a memory says what one of ``others``, of the same terms, says."""
    if not corpus.terms[row]:
        return False
    return any((1 + float(corpus.matrix[row] @ corpus.matrix[other])) / 2 >= COPY_SCORE for other in others)


def _traces(
    corpus: Corpus, ranked: _Ranked, chosen: Sequence[int], dropped: Mapping[int, _Drop], policy: RecallPolicy
) -> Iterator[Traced]:
    parts = {name: values[ranked.rows] for name, values in ranked.signals.parts().items()}
    ranks = {name: _ranks(values) for name, values in parts.items()}
    hits = frozenset(chosen)

    def reason(place: int) -> _Drop | None:
        late: _Drop = "threshold" if ranked.scores[place] < policy.threshold else "limit"
        return None if place in hits else dropped.get(place, late)

    for final, place in enumerate(map(int, ranked.order), start=1):
        yield Traced(
            record=corpus.records[ranked.rows[place]],
            parts={name: float(values[place]) for name, values in parts.items()},
            value=float(ranked.values[place]),
            score=float(ranked.scores[place]),
            ranks={**{name: int(each[place]) for name, each in ranks.items()}, "final": final},
            dropped=reason(place),
        )


def _ranks(values: Values) -> NDArray[np.int64]:
    """Return 1 + the number of higher values, for each value; those that only rounding tells apart are equal."""
    values = np.round(values, 9)
    return 1 + values.size - np.searchsorted(np.sort(values), values, side="right")
