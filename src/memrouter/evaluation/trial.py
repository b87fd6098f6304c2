"""Every question asked of every arm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memrouter.evaluation.arms import Arm
from memrouter.evaluation.bench import Bench, Progress
from memrouter.evaluation.conversations import Conversation, Question
from memrouter.evaluation.injection import Injection
from memrouter.evaluation.metrics import hit_at, recall_at, reciprocal_rank
from memrouter.memory.hits import Recall
from memrouter.memory.retrieval.retrieve import bounded
from memrouter.memory.service import MemoryService
from memrouter.models.memory import Scope

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """What one arm made of each question; every array has one value a question.

    Attributes:
        arm: The arm.
        recall: Share of the evidence among the first k, by k.
        hit: 1 where any evidence is among the first k, by k.
        reciprocal: 1 / place of the first evidence.
        tokens: Tokens that would have been injected.
        embedding: Seconds that embedding the question took; measured once for all arms.
        seconds: Seconds of the whole retrieval: embedding, and what came after it. A router does part of both at the
            same time, so this is the most that it can be.
        cold: Which retrievals were the first of their user.
    """

    arm: Arm
    recall: Mapping[int, Values]
    hit: Mapping[int, Values]
    reciprocal: Values
    tokens: Values
    embedding: Values
    seconds: Values
    cold: NDArray[np.bool_]


@dataclass(slots=True)
class _Answer:
    ranked: Sequence[str]
    tokens: int
    embedding: float
    seconds: float
    cold: bool


async def try_arms(
    bench: Bench,
    conversations: Sequence[Conversation],
    arms: Sequence[Arm],
    *,
    ks: Sequence[int],
    inject_limit: int,
    progress: Progress,
) -> list[Sheet]:
    """Ask each conversation's questions of its own memories; return what came of it, in the order of ``arms``.

    Each conversation is one user and each turn one memory. Questions are asked one at a time, each of all arms before
    the next, so that a machine that is busy for a while slows all arms alike.

    Args:
        bench: Where the conversations are stored.
        conversations: Whose turns and questions.
        arms: Ways of retrieval; a policy's limit must be at least the largest k.
        ks: Places that count.
        inject_limit: How many of the first hits would go to the reflection filter.
        progress: Told about each question.

    Raises:
        StoreUnavailable: The store could not be asked.
        EmbeddingError: A text could not be embedded.
    """
    services = [bench.service(reranked=arm.reranked) for arm in arms]
    injection = Injection(bench.settings.reflection, bench.tokens)
    answers: list[list[_Answer]] = [[] for _ in arms]
    asked: list[Question] = []
    total = sum(len(conversation.questions) for conversation in conversations)
    for conversation in conversations:
        scope = bench.scope(conversation.id)
        progress(f"storing {conversation.id}", len(asked), total)
        names = await bench.fill(scope, conversation.utterances)
        bench.clock.ms = conversation.asked_at
        for number, question in enumerate(conversation.questions):
            embedding = await _embed(bench, question.text)
            for arm, service, given in zip(arms, services, answers, strict=True):
                seconds, recall = await _ask(bench, service, scope, question.text, arm)
                tokens = await injection.tokens(recall.hits[:inject_limit], now=bench.clock.ms)
                ranked = [names[hit.record.id] for hit in recall.hits]
                given.append(_Answer(ranked, tokens, embedding, embedding + seconds, cold=number == 0))
            asked.append(question)
            progress(f"asking about {conversation.id}", len(asked), total)
    return [_sheet(arm, asked, given, ks) for arm, given in zip(arms, answers, strict=True)]


async def _embed(bench: Bench, text: str) -> float:
    """Return how long embedding takes; the vector stays in the embedder's cache for the arms."""
    begun = bench.clock.monotonic()
    await bench.embedder.embed([bounded(text)])
    return bench.clock.monotonic() - begun


async def _ask(bench: Bench, service: MemoryService, scope: Scope, text: str, arm: Arm) -> tuple[float, Recall]:
    if arm.policy is None:
        return 0.0, Recall((), 0, None)
    begun = bench.clock.monotonic()
    recall = await service.recall(scope, text, arm.policy)
    return bench.clock.monotonic() - begun, recall


def _sheet(arm: Arm, questions: Sequence[Question], answers: Sequence[_Answer], ks: Sequence[int]) -> Sheet:
    pairs = [(answer.ranked, question.evidence) for answer, question in zip(answers, questions, strict=True)]
    return Sheet(
        arm=arm,
        recall={k: np.array([recall_at(ranked, wanted, k) for ranked, wanted in pairs]) for k in ks},
        hit={k: np.array([hit_at(ranked, wanted, k) for ranked, wanted in pairs]) for k in ks},
        reciprocal=np.array([reciprocal_rank(ranked, wanted) for ranked, wanted in pairs]),
        tokens=np.array([float(answer.tokens) for answer in answers]),
        embedding=np.array([answer.embedding for answer in answers]),
        seconds=np.array([answer.seconds for answer in answers]),
        cold=np.array([answer.cold for answer in answers]),
    )
