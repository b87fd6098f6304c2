"""How often an off-topic question brings something back, and what that costs on topic."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from memrouter.evaluation.bench import Bench, Progress
from memrouter.evaluation.bootstrap import Interval, Resamples
from memrouter.evaluation.conversations import Conversation, Question
from memrouter.evaluation.injection import Injection
from memrouter.evaluation.metrics import recall_at
from memrouter.evaluation.off_topic import OffTopic, others
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.service import MemoryService
from memrouter.models.memory import Scope

K = 10
"""Places over which recall on topic is measured."""


@dataclass(frozen=True, slots=True)
class OffTopicRow:
    """What off-topic questions brought back from histories of one size.

    Attributes:
        memories: Size of the histories; None for whole ones.
        source: Where the questions come from.
        questions: How many were asked.
        recalled: Share for which retrieval found anything.
        injected: Share for which anything would have been injected.
        tokens: Mean number of tokens that would have been injected.
    """

    memories: int | None
    source: OffTopic
    questions: int
    recalled: Interval
    injected: Interval
    tokens: float


@dataclass(frozen=True, slots=True)
class OnTopicRow:
    """What questions whose evidence is in the history found, in histories of one size.

    Attributes:
        memories: Size of the histories; None for whole ones.
        questions: How many were asked.
        free: Recall among the first K at threshold 0, without the adaptive threshold.
        bounded: The same at the threshold.
        cost: ``free`` minus ``bounded``, question by question.
        configured: Recall among the first K with everything as configured, the adaptive threshold too.
    """

    memories: int | None
    questions: int
    free: Interval
    bounded: Interval
    cost: Interval
    configured: Interval


@dataclass(frozen=True, slots=True)
class NoiseReport:
    """All rows, and the threshold that they were measured at."""

    threshold: float
    off_topic: tuple[OffTopicRow, ...]
    on_topic: tuple[OnTopicRow, ...]


@dataclass(slots=True)
class _Asked:
    """Values of one row: the conversation's number and the values, for each question."""

    strata: list[int]
    values: list[tuple[float, ...]]

    def interval(self, column: int, seed: int, minus: int | None = None) -> Interval:
        values = np.array([row[column] - (0.0 if minus is None else row[minus]) for row in self.values])
        return Resamples(self.strata, seed=seed).interval(values)


async def measure_noise(
    bench: Bench,
    conversations: Sequence[Conversation],
    general: Sequence[str],
    policy: RecallPolicy,
    *,
    sizes: Sequence[int | None],
    seed: int,
    progress: Progress,
) -> NoiseReport:
    """Ask off-topic and on-topic questions of histories of several sizes.

    A history of n memories is the first n turns of a conversation; one that is shorter is left out at that size.

    Args:
        bench: Where the histories are stored.
        conversations: At least two.
        general: Questions that no history answers.
        policy: As configured.
        sizes: Numbers of memories; None for whole histories.
        seed: Of the intervals.
        progress: Told about each history.

    Raises:
        InvalidRequest: There is only one conversation.
        StoreUnavailable: The store could not be asked.
        EmbeddingError: A text could not be embedded.
    """
    study = _Study(bench, policy, general)
    strangers = others(conversations)
    steps = len(sizes) * len(conversations)
    off_rows: list[OffTopicRow] = []
    on_rows: list[OnTopicRow] = []
    for place, size in enumerate(sizes):
        off: dict[OffTopic, _Asked] = {"other conversation": _Asked([], []), "general": _Asked([], [])}
        on = _Asked([], [])
        for number, (own, stranger) in enumerate(zip(conversations, strangers, strict=True)):
            progress("asking", place * len(conversations) + number, steps)
            if size is None or size <= len(own.utterances):
                await study.ask(number, own, stranger, size, off, on)
        off_rows += [_off_row(size, source, asked, seed) for source, asked in off.items() if asked.values]
        on_rows += [_on_row(size, on, seed)] if on.values else []
    progress("asking", steps, steps)
    return NoiseReport(policy.threshold, tuple(off_rows), tuple(on_rows))


class _Study:
    def __init__(self, bench: Bench, policy: RecallPolicy, general: Sequence[str]) -> None:
        self._bench = bench
        self._policy = policy
        self._general = general
        self._injection = Injection(bench.settings.reflection, bench.tokens)

    async def ask(
        self,
        number: int,
        own: Conversation,
        stranger: Conversation,
        size: int | None,
        off: dict[OffTopic, _Asked],
        on: _Asked,
    ) -> None:
        scope = self._bench.scope(f"{own.id}-{size}")
        names = await self._bench.fill(scope, own.utterances[:size])
        self._bench.clock.ms = own.asked_at
        service = self._bench.service()
        held = frozenset(names.values())
        strange = [question.text for question in stranger.questions]
        asked: list[tuple[OffTopic, Sequence[str]]] = [("other conversation", strange), ("general", self._general)]
        for source, texts in asked:
            off[source].strata += [number] * len(texts)
            off[source].values += [await self._off(service, scope, text) for text in texts]
        answerable = [question for question in own.questions if held.issuperset(question.evidence)]
        on.strata += [number] * len(answerable)
        on.values += [await self._on(service, scope, question, names) for question in answerable]

    async def _off(self, service: MemoryService, scope: Scope, text: str) -> tuple[float, ...]:
        hits = (await service.recall(scope, text, self._policy)).hits
        tokens = await self._injection.tokens(hits, now=self._bench.clock.ms)
        return float(bool(hits)), float(tokens > 0), float(tokens)

    async def _on(
        self, service: MemoryService, scope: Scope, question: Question, names: dict[str, str]
    ) -> tuple[float, ...]:
        configured = replace(self._policy, limit=K)
        bounded = replace(configured, adaptive=False)
        values = []
        for policy in (replace(bounded, threshold=0.0), bounded, configured):
            hits = (await service.recall(scope, question.text, policy)).hits
            values.append(recall_at([names[hit.record.id] for hit in hits], question.evidence, K))
        return tuple(values)


def _off_row(size: int | None, source: OffTopic, asked: _Asked, seed: int) -> OffTopicRow:
    return OffTopicRow(
        memories=size,
        source=source,
        questions=len(asked.values),
        recalled=asked.interval(0, seed),
        injected=asked.interval(1, seed),
        tokens=sum(row[2] for row in asked.values) / len(asked.values),
    )


def _on_row(size: int | None, asked: _Asked, seed: int) -> OnTopicRow:
    return OnTopicRow(
        memories=size,
        questions=len(asked.values),
        free=asked.interval(0, seed),
        bounded=asked.interval(1, seed),
        cost=asked.interval(0, seed, minus=1),
        configured=asked.interval(2, seed),
    )
