"""The sheets of a trial as figures with intervals. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memrouter.evaluation.bootstrap import Interval, Resamples
from memrouter.evaluation.trial import Sheet

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quality:
    """How well one arm found the evidence.

    Attributes:
        questions: How many questions the figures are over.
        recall: Mean share of the evidence among the first k, by k.
        hit: Share of questions with any evidence among the first k, by k.
        mrr: Mean of 1 / place of the first evidence.
    """

    questions: int
    recall: Mapping[int, Interval]
    hit: Mapping[int, Interval]
    mrr: Interval


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of a retrieval, embedding included; the first of each user apart, since it reads everything.

    Attributes:
        p50: Median.
        p95: 95th percentile.
        p99: 99th percentile.
        first: Median over the users' first retrievals.
        embedding: Median of the part that embedding the question takes.
    """

    p50: float
    p95: float
    p99: float
    first: float
    embedding: float


@dataclass(frozen=True, slots=True)
class ArmReport:
    """Figures of one arm.

    Attributes:
        name: Of the arm.
        about: What it is.
        overall: Over all questions.
        categories: By category of question, those that occur.
        against_default: Recall by k minus that of the default arm, question by question.
        tokens: Mean number of tokens injected.
        latency: Durations; None where nothing was asked.
    """

    name: str
    about: str
    overall: Quality
    categories: Mapping[int, Quality]
    against_default: Mapping[int, Interval]
    tokens: float
    latency: Latency | None


def compare(sheets: Sequence[Sheet], *, categories: Sequence[int], strata: Sequence[int], seed: int) -> list[ArmReport]:
    """Return the figures of every arm, compared with the first one. Takes up to seconds.

    Args:
        sheets: Of the same questions in the same order; the default arm's first.
        categories: Of each question.
        strata: Conversation of each question.
        seed: Of the resampling.
    """
    resamples = Resamples(strata, seed=seed)
    labels = np.asarray(categories)
    return [_report(sheet, sheets[0], labels, resamples) for sheet in sheets]


def _report(sheet: Sheet, default: Sheet, labels: NDArray[np.int64], resamples: Resamples) -> ArmReport:
    return ArmReport(
        name=sheet.arm.name,
        about=sheet.arm.about,
        overall=_quality(sheet, None, resamples),
        categories={int(label): _quality(sheet, labels == label, resamples) for label in np.unique(labels)},
        against_default={k: resamples.interval(values - default.recall[k]) for k, values in sheet.recall.items()},
        tokens=float(sheet.tokens.mean()),
        latency=None if sheet.arm.policy is None else _latency(sheet),
    )


def _quality(sheet: Sheet, where: NDArray[np.bool_] | None, resamples: Resamples) -> Quality:
    return Quality(
        questions=int(sheet.reciprocal.size if where is None else where.sum()),
        recall={k: resamples.interval(values, where) for k, values in sheet.recall.items()},
        hit={k: resamples.interval(values, where) for k, values in sheet.hit.items()},
        mrr=resamples.interval(sheet.reciprocal, where),
    )


def _latency(sheet: Sheet) -> Latency:
    warm = sheet.seconds[~sheet.cold] if (~sheet.cold).any() else sheet.seconds
    p50, p95, p99 = (float(1000 * value) for value in np.quantile(warm, (0.5, 0.95, 0.99)))
    first, embedding = (float(1000 * np.median(values)) for values in (sheet.seconds[sheet.cold], sheet.embedding))
    return Latency(p50, p95, p99, first=first, embedding=embedding)
