"""The protocol: its arithmetic by hand, and the floor under retrieval on the bundled conversations."""

from typing import Any

import pytest

from memrouter.evaluation.arms import Arm, all_arms, chosen_arms
from memrouter.evaluation.bench import Bench
from memrouter.evaluation.conversations import Conversation, DataSet, Question, Utterance
from memrouter.evaluation.trial import Sheet, try_arms
from memrouter.memory.policy import RecallPolicy

RECALL_AT_5 = 0.65
RECALL_AT_10 = 0.73
"""Floors: about five points under what the default retrieval reaches on the bundled conversations."""

PARROT = "Ann: My parrot Figaro repeats every word of the opera."
BICYCLE = "Ben: Thieves took my bicycle in Ghent."
SOUP = "Ann: Lentil soup needs vinegar."
DEFAULT_ONLY = RecallPolicy(limit=3, threshold=0.0, adaptive=False)


def conversation(*questions: Question) -> Conversation:
    texts = {"D1:1": PARROT, "D2:1": BICYCLE, "D3:1": SOUP}
    turns = tuple(
        Utterance(id=name, session=f"session_{number}", index=0, at=number * 86_400_000, text=text)
        for number, (name, text) in enumerate(texts.items(), start=1)
    )
    return Conversation("one", turns, questions)


async def tried(bench: Bench, conversations: Any, arms: Any, ks: Any) -> list[Sheet]:
    return await try_arms(bench, conversations, arms, ks=ks, inject_limit=5, progress=lambda *_: None)


async def test_figures_are_those_computed_by_hand(bench: Bench) -> None:
    ask = "Which words does the parrot Figaro repeat from the opera?"
    one = conversation(
        Question(ask, 4, ("D1:1",)),
        Question(ask, 1, ("D1:1", "D2:1", "D3:1")),
        Question("Did thieves take the bicycle in Ghent?", 4, ("D2:1",)),
        Question(ask, 4, ("D2:1", "D3:1")),
    )
    (sheet,) = await tried(bench, [one], [Arm("default", DEFAULT_ONLY, "")], (1, 2, 3))
    assert sheet.recall[1].tolist() == pytest.approx([1, 1 / 3, 1, 0])
    assert sheet.recall[2].tolist() == pytest.approx([1, 2 / 3, 1, 1 / 2])
    assert sheet.recall[3].tolist() == [1, 1, 1, 1]
    assert sheet.hit[1].tolist() == [1, 1, 1, 0]
    assert sheet.reciprocal.tolist() == [1, 1, 1, 0.5]
    assert sheet.cold.tolist() == [True, False, False, False]
    assert (sheet.tokens > 0).all()
    assert (sheet.seconds > 0).all()


async def test_a_question_is_embedded_once_and_its_time_counts_for_every_arm(bench: Bench) -> None:
    one = conversation(Question("What does the parrot repeat?", 4, ("D1:1",)))
    arms = [Arm("default", DEFAULT_ONLY, ""), Arm("again", DEFAULT_ONLY, "")]
    sheets = await tried(bench, [one], arms, (1,))
    assert bench.embedder.misses == len(one.utterances) + 1
    assert all((sheet.seconds > sheet.embedding).all() for sheet in sheets)
    assert sheets[0].embedding.tolist() == sheets[1].embedding.tolist()


async def test_without_memory_nothing_is_found_or_injected(bench: Bench) -> None:
    one = conversation(Question("What does the parrot repeat?", 4, ("D1:1",)))
    arms = [Arm("default", DEFAULT_ONLY, ""), Arm("off", None, "")]
    _, off = await tried(bench, [one], arms, (1,))
    assert [values.tolist() for values in (off.recall[1], off.hit[1], off.reciprocal, off.tokens)] == [[0.0]] * 4


async def test_questions_are_asked_a_day_after_the_last_turn(bench: Bench) -> None:
    await tried(bench, [conversation(Question("soup?", 4, ("D3:1",)))], [Arm("default", DEFAULT_ONLY, "")], (1,))
    assert bench.clock.ms == 4 * 86_400_000


async def test_one_conversation_is_never_answered_from_another(bench: Bench) -> None:
    one = conversation(Question("the parrot", 4, ("D1:1",)))
    other = Conversation("two", (one.utterances[2],), (Question("the parrot", 4, ("D3:1",)),))
    (sheet,) = await tried(bench, [one, other], [Arm("default", DEFAULT_ONLY, "")], (1,))
    assert sheet.recall[1].tolist() == [1, 1]
    assert sheet.cold.tolist() == [True, True]


async def test_progress_ends_with_all_questions_asked(bench: Bench, sample: DataSet) -> None:
    steps: list[tuple[int, int]] = []
    await try_arms(
        bench,
        sample.conversations[:1],
        [Arm("default", DEFAULT_ONLY, "")],
        ks=(1,),
        inject_limit=5,
        progress=lambda _, done, total: steps.append((done, total)),
    )
    total = len(sample.conversations[0].questions)
    assert steps[-1] == (total, total)
    assert steps == sorted(steps)


async def test_retrieval_keeps_its_floor_and_beats_vectors_alone_on_the_bundled_conversations(
    bench: Bench, sample: DataSet
) -> None:
    policy = RecallPolicy(limit=10, threshold=0.0, adaptive=False)
    arms = chosen_arms(all_arms(policy), ["vector"])
    default, vector = await tried(bench, sample.conversations, arms, (5, 10))
    assert default.recall[5].mean() >= RECALL_AT_5
    assert default.recall[10].mean() >= RECALL_AT_10
    assert default.recall[10].mean() > vector.recall[10].mean() + 0.1
