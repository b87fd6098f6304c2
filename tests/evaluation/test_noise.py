from dataclasses import replace

import pytest

from memrouter.errors import InvalidRequest
from memrouter.evaluation.bench import Bench
from memrouter.evaluation.conversations import DataSet
from memrouter.evaluation.noise import NoiseReport, measure_noise
from memrouter.memory.policy import RecallPolicy

GENERAL = ("What is the capital of Australia?", "How do I reverse a list in Python?")


async def measured(bench: Bench, data: DataSet, threshold: float, *sizes: int | None) -> NoiseReport:
    policy = RecallPolicy(limit=5, threshold=threshold)
    return await measure_noise(
        bench, data.conversations, GENERAL, policy, sizes=sizes, seed=0, progress=lambda *_: None
    )


async def test_at_threshold_0_everything_is_found_and_injected_and_nothing_is_lost(
    bench: Bench, sample: DataSet
) -> None:
    report = await measured(bench, sample, 0.0, None)
    assert [(row.source, row.recalled.mean, row.injected.mean) for row in report.off_topic] == [
        ("other conversation", 1.0, 1.0),
        ("general", 1.0, 1.0),
    ]
    assert all(row.tokens > 50 for row in report.off_topic)
    (row,) = report.on_topic
    assert (row.cost.low, row.cost.high) == (0.0, 0.0)
    assert row.free == row.bounded


async def test_at_threshold_1_nothing_is_found_and_everything_is_lost(bench: Bench, sample: DataSet) -> None:
    report = await measured(bench, sample, 1.0, None)
    assert {(row.recalled.mean, row.tokens) for row in report.off_topic} == {(0.0, 0.0)}
    (row,) = report.on_topic
    assert row.bounded.mean == row.configured.mean == 0.0
    assert row.cost == row.free


async def test_histories_of_a_size_hold_the_first_turns_and_only_questions_they_can_answer(
    bench: Bench, sample: DataSet
) -> None:
    report = await measured(bench, sample, 0.0, 20, None)
    small, whole = report.on_topic
    assert (small.memories, whole.memories) == (20, None)
    held = [{turn.id for turn in conversation.utterances[:20]} for conversation in sample.conversations]
    answerable = [
        question
        for names, conversation in zip(held, sample.conversations, strict=True)
        for question in conversation.questions
        if names.issuperset(question.evidence)
    ]
    assert small.questions == len(answerable)
    assert whole.questions == sample.questions
    assert [row.questions for row in report.off_topic if row.source == "general"] == [6, 6]


async def test_a_size_that_no_history_has_is_left_out(bench: Bench, sample: DataSet) -> None:
    report = await measured(bench, sample, 0.0, 100_000)
    assert (report.off_topic, report.on_topic) == ((), ())


async def test_one_conversation_alone_is_refused(bench: Bench, sample: DataSet) -> None:
    with pytest.raises(InvalidRequest, match="at least two"):
        await measured(bench, replace(sample, conversations=sample.conversations[:1]), 0.5, None)
