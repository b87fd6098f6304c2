"""Which threshold an embedder should have, from labelled data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memrouter.evaluation.bench import Bench, Progress
from memrouter.evaluation.conversations import Conversation
from memrouter.evaluation.off_topic import others
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.service import MemoryService
from memrouter.models.memory import Scope

K = 10
"""Places over which recall is measured."""
DEPTH = 100
"""Places of each ranking that are looked at; a memory farther back is taken not to come up, whatever is dropped."""
STEP = 0.005
"""Distance between two thresholds that are tried, from 0 to 1."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold would do.

    Attributes:
        threshold: The threshold.
        off_topic: Share of other conversations' questions for which anything is found.
        general: Share of general questions for which anything is found.
        recall: Recall among the first K, on topic.
        loss: How much lower that is than at threshold 0.
    """

    threshold: float
    off_topic: float
    general: float
    recall: float
    loss: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The outcome.

    Attributes:
        most_off_topic: Highest ``off_topic`` that is acceptable.
        most_loss: Highest ``loss`` that is acceptable.
        declared: The embedder's present default.
        curve: Every threshold that was tried, ascending.
        recommended: The lowest threshold that is quiet enough.
        fits: Whether its loss is acceptable too.
        lowest: Lowest threshold that would be recommended with one conversation left out.
        highest: Highest threshold that would be recommended with one conversation left out.
    """

    most_off_topic: float
    most_loss: float
    declared: Point
    curve: tuple[Point, ...]
    recommended: Point
    fits: bool
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Everything that the curve is made of; one row a question.

    Attributes:
        ranked: Scores of the memories in the order of retrieval, for each question on topic; -1 behind the last.
            Shape (questions, DEPTH).
        wanted: Which of them are evidence; same shape.
        evidence: How much evidence each of these questions has.
        strata: Conversation of each of these questions.
        off_topic: Highest score of a memory, for each question of another conversation.
        off_strata: Conversation that each of these was asked of.
        general: Highest score of a memory, for each general question and conversation.
    """

    ranked: Values
    wanted: NDArray[np.bool_]
    evidence: NDArray[np.int64]
    strata: NDArray[np.int64]
    off_topic: Values
    off_strata: NDArray[np.int64]
    general: Values

    def point(self, threshold: float, *, but: int | None = None) -> Point:
        """Return what ``threshold`` would do.

        Args:
            threshold: 0 to 1.
            but: Number of a conversation to leave out.
        """
        on, off = self.strata != but, self.off_strata != but
        recall = self._recall(threshold)[on]
        return Point(
            threshold=threshold,
            off_topic=_share(self.off_topic[off] >= threshold),
            general=_share(self.general >= threshold),
            recall=float(recall.mean()),
            loss=float((self._recall(0.0)[on] - recall).mean()),
        )

    def quiet_from(self, most_off_topic: float, *, but: int | None = None) -> float:
        """Return the lowest threshold, in steps of STEP, with at most this share of off-topic questions answered."""
        top = self.off_topic[self.off_strata != but]
        return next((t for t in thresholds() if _share(top >= t) <= most_off_topic), 1.0)

    def _recall(self, threshold: float) -> Values:
        passing = self.ranked >= threshold
        found = passing & self.wanted & (np.cumsum(passing, axis=1) <= K)
        shares: Values = found.sum(axis=1) / self.evidence
        return shares


def thresholds() -> list[float]:
    """Return the thresholds that are tried, ascending."""
    return [round(step * STEP, 6) for step in range(round(1 / STEP) + 1)]


def find_threshold(scores: Scores, *, declared: float, most_off_topic: float, most_loss: float) -> Calibration:
    """Return the curve and the threshold that it recommends; takes about a second.

    Args:
        scores: Of a labelled data set.
        declared: The embedder's present default threshold.
        most_off_topic: Highest share of off-topic questions that may find anything.
        most_loss: Most recall that may be lost against threshold 0.
    """
    recommended = scores.point(scores.quiet_from(most_off_topic))
    conversations = np.unique(scores.strata)
    without_one = [scores.quiet_from(most_off_topic, but=int(number)) for number in conversations]
    return Calibration(
        most_off_topic=most_off_topic,
        most_loss=most_loss,
        declared=scores.point(declared),
        curve=tuple(scores.point(threshold) for threshold in thresholds()),
        recommended=recommended,
        fits=recommended.off_topic <= most_off_topic and recommended.loss <= most_loss,
        lowest=min(without_one),
        highest=max(without_one),
    )


async def gather_scores(
    bench: Bench,
    conversations: Sequence[Conversation],
    general: Sequence[str],
    policy: RecallPolicy,
    *,
    progress: Progress,
) -> Scores:
    """Retrieve for every question without a threshold: for those of each conversation, of another one, general ones.

    Args:
        bench: Where the conversations are stored.
        conversations: At least two.
        general: Questions that no history answers.
        policy: How to retrieve; its limit and threshold do not count.
        progress: Told about each conversation.

    Raises:
        InvalidRequest: There is only one conversation.
        StoreUnavailable: The store could not be asked.
        EmbeddingError: A text could not be embedded.
    """
    service = bench.service()
    deep = replace(policy, threshold=0.0, adaptive=False, limit=DEPTH)
    ranked: list[tuple[int, Values, NDArray[np.bool_], int]] = []
    off: list[tuple[int, float]] = []
    at_large: list[float] = []
    for number, (own, stranger) in enumerate(zip(conversations, others(conversations), strict=True)):
        progress("asking", number, len(conversations))
        scope = bench.scope(own.id)
        names = await bench.fill(scope, own.utterances)
        bench.clock.ms = own.asked_at
        for question in own.questions:
            hits = (await service.recall(scope, question.text, deep)).hits
            values = np.array([hit.score for hit in hits])
            wanted = np.array([names[hit.record.id] in question.evidence for hit in hits], dtype=np.bool_)
            ranked.append((number, values, wanted, len(question.evidence)))
        off += [(number, await _best(service, scope, question.text, policy)) for question in stranger.questions]
        at_large += [await _best(service, scope, text, policy) for text in general]
    progress("asking", len(conversations), len(conversations))
    return _scores(ranked, off, at_large)


async def _best(service: MemoryService, scope: Scope, text: str, policy: RecallPolicy) -> float:
    """Return the highest score of any memory: the best that falls short of the highest threshold there is."""
    recall = await service.recall(scope, text, replace(policy, threshold=1.0, limit=1))
    return max((hit.score for hit in recall.hits), default=-1.0 if recall.best_miss is None else recall.best_miss)


def _scores(
    ranked: Sequence[tuple[int, Values, NDArray[np.bool_], int]],
    off: Sequence[tuple[int, float]],
    general: Sequence[float],
) -> Scores:
    return Scores(
        ranked=np.array([np.pad(values, (0, DEPTH - values.size), constant_values=-1.0) for _, values, _, _ in ranked]),
        wanted=np.array([np.pad(wanted, (0, DEPTH - wanted.size)) for _, _, wanted, _ in ranked]),
        evidence=np.array([evidence for _, _, _, evidence in ranked]),
        strata=np.array([number for number, _, _, _ in ranked]),
        off_topic=np.array([score for _, score in off]),
        off_strata=np.array([number for number, _ in off]),
        general=np.array(general),
    )


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if flags.size else 0.0
