import itertools
from dataclasses import replace

import numpy as np
import pytest

from memrouter.evaluation.bench import Bench
from memrouter.evaluation.calibration import K, Scores, find_threshold, gather_scores
from memrouter.evaluation.conversations import DataSet
from memrouter.evaluation.metrics import recall_at
from memrouter.evaluation.noise import measure_noise
from memrouter.memory.policy import RecallPolicy

SCORES = Scores(
    ranked=np.array([[0.9, 0.5, 0.7], [0.6, 0.4, -1.0]]),
    wanted=np.array([[False, True, True], [True, False, False]]),
    evidence=np.array([2, 1]),
    strata=np.array([0, 1]),
    off_topic=np.array([0.3, 0.45, 0.52, 0.8]),
    off_strata=np.array([0, 0, 1, 1]),
    general=np.array([0.2, 0.55]),
)


def test_a_point_is_computed_as_by_hand() -> None:
    assert SCORES.point(0.0).recall == 1.0
    point = SCORES.point(0.55)
    assert (point.off_topic, point.general) == (0.25, 0.5)
    assert point.recall == pytest.approx((1 / 2 + 1) / 2)
    assert point.loss == pytest.approx(0.25)
    assert SCORES.point(0.55, but=0).recall == 1.0


def test_what_a_threshold_drops_makes_room_for_what_stands_behind_it() -> None:
    ranked = np.array([[0.3] * K + [0.9]])
    wanted = np.array([[False] * K + [True]])
    scores = replace(SCORES, ranked=ranked, wanted=wanted, evidence=np.array([1]), strata=np.array([0]))
    assert (scores.point(0.0).recall, scores.point(0.5).recall) == (0.0, 1.0)


def test_the_lowest_threshold_that_is_quiet_enough_is_recommended() -> None:
    found = find_threshold(SCORES, declared=0.4, most_off_topic=0.25, most_loss=0.3)
    assert found.recommended.threshold == pytest.approx(0.525)
    assert found.recommended.off_topic == 0.25
    assert found.fits
    assert found.declared.threshold == 0.4
    assert [found.lowest, found.highest] == pytest.approx([0.455, 0.805])


def test_a_threshold_that_costs_too_much_does_not_fit() -> None:
    found = find_threshold(SCORES, declared=0.4, most_off_topic=0.0, most_loss=0.03)
    assert found.recommended.threshold == pytest.approx(0.805)
    assert (found.recommended.off_topic, found.recommended.recall, found.fits) == (0.0, 0.0, False)


def test_off_topic_and_recall_never_rise_with_the_threshold_where_order_is_that_of_scores() -> None:
    scores = replace(SCORES, ranked=np.array([[0.9, 0.7, 0.5], [0.6, 0.4, -1.0]]))
    curve = find_threshold(scores, declared=0.4, most_off_topic=0.1, most_loss=0.1).curve
    assert len(curve) == 201
    for one, other in itertools.pairwise(curve):
        assert one.off_topic >= other.off_topic
        assert one.general >= other.general
        assert one.recall >= other.recall


async def test_the_curve_is_what_the_real_retrieval_does_at_that_threshold(bench: Bench, sample: DataSet) -> None:
    general = ("What is the capital of Australia?", "How do I reverse a list in Python?")
    free = RecallPolicy(limit=5, threshold=0.0)
    scores = await gather_scores(bench, sample.conversations, general, free, progress=lambda *_: None)
    policy = replace(free, threshold=float(np.median(scores.off_topic)))
    point = scores.point(policy.threshold)
    report = await measure_noise(
        bench, sample.conversations, general, policy, sizes=(None,), seed=0, progress=lambda *_: None
    )
    other, at_large = report.off_topic
    assert point.off_topic == pytest.approx(other.recalled.mean)
    assert point.general == pytest.approx(at_large.recalled.mean)
    assert point.recall == pytest.approx(report.on_topic[0].bounded.mean)
    assert point.loss == pytest.approx(report.on_topic[0].cost.mean)
    assert 0 < point.off_topic < 1


async def test_scores_are_those_of_all_memories_in_the_order_of_retrieval(bench: Bench, sample: DataSet) -> None:
    policy = RecallPolicy(limit=5, threshold=0.9)
    scores = await gather_scores(bench, sample.conversations[:2], (), policy, progress=lambda *_: None)
    first = sample.conversations[0]
    scope = bench.scope("again")
    names = await bench.fill(scope, first.utterances)
    bench.clock.ms = first.asked_at
    whole = RecallPolicy(limit=1000, threshold=0.0, adaptive=False)
    for row, question in enumerate(first.questions):
        hits = (await bench.service().recall(scope, question.text, whole)).hits
        assert scores.ranked[row, : len(hits)].tolist() == pytest.approx([hit.score for hit in hits])
        ranked = [names[hit.record.id] for hit in hits]
        found = scores.wanted[row, :K].sum() / scores.evidence[row]
        assert found == pytest.approx(recall_at(ranked, question.evidence, K))
