from typing import Any

import numpy as np
import pytest

from memrouter.evaluation.arms import Arm
from memrouter.evaluation.comparison import compare
from memrouter.evaluation.trial import Sheet
from memrouter.memory.policy import RecallPolicy

POLICY = RecallPolicy(limit=10, threshold=0.0)


def sheet(name: str, recall: list[float], *, policy: RecallPolicy | None = POLICY, **fields: Any) -> Sheet:
    values = np.array(recall)
    columns: dict[str, Any] = {
        "recall": {5: values},
        "hit": {5: (values > 0).astype(float)},
        "reciprocal": values,
        "tokens": np.full(values.size, 100.0),
        "embedding": np.full(values.size, 0.0005),
        "seconds": np.full(values.size, 0.002),
        "cold": np.arange(values.size) == 0,
        **fields,
    }
    return Sheet(arm=Arm(name, policy, f"about {name}"), **columns)


def test_means_are_over_questions_and_categories_apart() -> None:
    (report,) = compare([sheet("default", [1.0, 0.5, 0.0, 0.0])], categories=[4, 4, 1, 1], strata=[0] * 4, seed=0)
    assert report.overall.questions == 4
    assert report.overall.recall[5].mean == pytest.approx(0.375)
    assert report.overall.hit[5].mean == pytest.approx(0.5)
    assert report.overall.mrr.mean == pytest.approx(0.375)
    assert {kind: quality.recall[5].mean for kind, quality in report.categories.items()} == {1: 0.0, 4: 0.75}
    assert {kind: quality.questions for kind, quality in report.categories.items()} == {1: 2, 4: 2}


def test_differences_are_to_the_first_arm_and_paired() -> None:
    noisy = np.random.default_rng(3).random(40) / 2
    default, better = compare(
        [sheet("default", noisy.tolist()), sheet("better", (noisy + 0.25).tolist())],
        categories=[4] * 40,
        strata=[0] * 40,
        seed=0,
    )
    assert [default.against_default[5].low, default.against_default[5].high] == [0, 0]
    assert better.against_default[5].low == pytest.approx(0.25)
    assert better.overall.recall[5].high - better.overall.recall[5].low > 0.05


def test_durations_are_in_milliseconds_and_first_retrievals_stand_apart() -> None:
    seconds = np.array([0.5, *[0.001] * 9, 0.002])
    (report,) = compare([sheet("default", [1.0] * 11, seconds=seconds)], categories=[4] * 11, strata=[0] * 11, seed=0)
    assert report.latency is not None
    assert [report.latency.p50, report.latency.first] == pytest.approx([1.0, 500.0])
    assert report.latency.embedding == pytest.approx(0.5)
    assert 1.0 < report.latency.p99 <= 2.0


def test_an_arm_without_memory_has_no_durations() -> None:
    _, off = compare([sheet("default", [1.0]), sheet("off", [0.0], policy=None)], categories=[4], strata=[0], seed=0)
    assert off.latency is None
    assert off.against_default[5].mean == -1.0


def test_one_question_a_conversation_leaves_only_first_retrievals() -> None:
    report = compare([sheet("default", [1.0], seconds=np.array([0.003]))], categories=[4], strata=[0], seed=0)[0]
    assert report.latency is not None
    assert report.latency.p50 == report.latency.first == pytest.approx(3.0)
