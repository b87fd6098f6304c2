"""The best memories in the order of a cross-encoder, and without it where it fails."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import RerankError
from memrouter.memory.hits import Recall, Traced
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.retrieval.rerank import PAUSE_SECONDS, RerankStage
from memrouter.testing.clock import ManualClock

from ..hits import hit

Score = Callable[[str, Sequence[str]], Awaitable[list[float]]]


class Model:
    """A cross-encoder that does what a test tells it."""

    def __init__(self, score: Score) -> None:
        self._score = score
        self.asked: list[tuple[str, list[str]]] = []

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.asked.append((query, list(texts)))
        return await self._score(query, texts)

    async def aclose(self) -> None:
        pass


class Outcomes:
    """Notes what was counted."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def reranked(self, *, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.seen.append(outcome)


async def by_last_digit(query: str, texts: Sequence[str]) -> list[float]:
    return [float(text[-1]) for text in texts]


async def hanging(query: str, texts: Sequence[str]) -> list[float]:
    await asyncio.Event().wait()
    return []


async def broken(query: str, texts: Sequence[str]) -> list[float]:
    raise RerankError("the endpoint is on fire")


def recall(*contents: str, missed: int = 0) -> Recall:
    """Return a recall of these memories in this order, with its trace."""
    hits = tuple(hit(f"m{number}", 0.9 - number / 100, content=content) for number, content in enumerate(contents))
    trace = [
        Traced(each.record, {"vector": each.score}, each.score, each.score, {"vector": place, "final": place}, None)
        for place, each in enumerate(hits, start=1)
    ]
    for number in range(missed):
        place = len(trace) + 1
        other = hit(f"x{number}", 0.1).record
        trace.append(Traced(other, {"vector": 0.1}, 0.1, 0.1, {"vector": place, "final": place}, "threshold"))
    return Recall(hits, len(trace), 0.1 if missed else None, tuple(trace))


def stage(
    model: Model, outcomes: Outcomes | None = None, *, candidates: int = 30, clock: ManualClock | None = None
) -> RerankStage:
    return RerankStage(
        model,
        candidates=candidates,
        max_seconds=0.01 if model._score is hanging else 60,
        observer=outcomes or Outcomes(),
        clock=clock or ManualClock(),
    )


def contents(found: Recall) -> list[str]:
    return [each.record.content for each in found.hits]


async def test_the_model_decides_on_the_order_and_the_limit_comes_after_it() -> None:
    outcomes = Outcomes()
    model = Model(by_last_digit)
    found = await stage(model, outcomes).order("q", recall("a 1", "b 5", "c 3"), limit=2)
    assert contents(found) == ["b 5", "c 3"]
    assert model.asked == [("q", ["a 1", "b 5", "c 3"])]
    assert outcomes.seen == ["ok"]


async def test_equal_scores_keep_the_fused_order() -> None:
    assert contents(await stage(Model(by_last_digit)).order("q", recall("a 1", "b 1", "c 1"), limit=3)) == [
        "a 1",
        "b 1",
        "c 1",
    ]


async def test_only_the_best_candidates_are_read_and_the_rest_stays_behind_them() -> None:
    model = Model(by_last_digit)
    found = await stage(model, candidates=2).order("q", recall("a 1", "b 2", "c 9"), limit=3)
    assert contents(found) == ["b 2", "a 1", "c 9"]
    assert model.asked[0][1] == ["a 1", "b 2"]


async def test_retrieval_is_asked_for_enough_to_choose_from() -> None:
    policy = RecallPolicy(limit=5, threshold=0.6, mode="rrf")
    widened = stage(Model(by_last_digit), candidates=30).widened(policy)
    assert (widened.limit, widened.threshold, widened.mode) == (30, 0.6, "rrf")
    assert stage(Model(by_last_digit), candidates=2).widened(policy).limit == 5


@pytest.mark.parametrize("count", [0, 1])
async def test_nothing_is_asked_where_there_is_nothing_to_order(count: int) -> None:
    model = Model(by_last_digit)
    outcomes = Outcomes()
    found = await stage(model, outcomes).order("q", recall(*["a 1"][:count], missed=2), limit=5)
    assert len(found.hits) == count
    assert model.asked == []
    assert outcomes.seen == []


@pytest.mark.parametrize(("score", "outcome"), [(broken, "failed"), (hanging, "timeout")])
async def test_a_failure_leaves_the_fused_order_and_is_counted_and_told_once_without_text(
    score: Score, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes, clock, model = Outcomes(), ManualClock(), Model(score)
    tried = stage(model, outcomes, clock=clock)
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):
            found = await tried.order("my canary", recall("canary 1", "canary 5", "canary 3", missed=1), limit=2)
            assert contents(found) == ["canary 1", "canary 5"]
            assert [each.dropped for each in found.trace] == [None, None, "limit", "threshold"]
            clock.ms += int(PAUSE_SECONDS * 1000) + 1
    assert outcomes.seen == [outcome, outcome]
    (message,) = caplog.messages
    assert "keep their order" in message
    assert "canary" not in message


async def test_a_model_that_failed_is_left_alone_for_a_while_and_then_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outcomes, clock, model = Outcomes(), ManualClock(), Model(broken)
    tried = stage(model, outcomes, clock=clock)
    await tried.order("q", recall("a 1", "b 2"), limit=2)
    await tried.order("q", recall("a 1", "b 2"), limit=2)
    model._score = by_last_digit
    clock.ms += int(PAUSE_SECONDS * 1000) + 1
    with caplog.at_level(logging.INFO):
        assert contents(await tried.order("q", recall("a 1", "b 2"), limit=2)) == ["b 2", "a 1"]
    assert outcomes.seen == ["failed", "skipped", "ok"]
    assert caplog.messages[-1] == "the reranker answers again"


async def test_the_trace_tells_the_model_s_score_and_what_it_moved() -> None:
    found = await stage(Model(by_last_digit), candidates=2).order("q", recall("a 1", "b 5", "c 9", missed=1), limit=1)
    assert [(each.record.content, each.dropped) for each in found.trace] == [
        ("b 5", None),
        ("a 1", "limit"),
        ("c 9", "limit"),
        ("text x0", "threshold"),
    ]
    best, second, third, _ = found.trace
    assert best.parts == {"vector": 0.89, "reranker": 5.0}
    assert best.ranks == {"vector": 2, "fused": 2, "reranker": 1, "final": 1}
    assert second.ranks == {"vector": 1, "fused": 1, "reranker": 2, "final": 2}
    assert third.ranks == {"vector": 3, "final": 3}
    assert "reranker" not in third.parts


@given(
    scores=st.lists(st.integers(0, 9), max_size=12),
    candidates=st.integers(2, 15),
    limit=st.integers(1, 15),
    missed=st.integers(0, 3),
)
async def test_nothing_is_lost_or_doubled_and_hits_and_trace_agree(
    scores: list[int], candidates: int, limit: int, missed: int
) -> None:
    before = recall(*(f"text {score}" for score in scores), missed=missed)
    found = await stage(Model(by_last_digit), candidates=candidates).order("q", before, limit=limit)
    assert len(found.hits) == min(limit, len(scores))
    assert [each.record.id for each in found.trace if each.dropped is None] == [each.record.id for each in found.hits]
    assert {each.record.id for each in found.trace} == {each.record.id for each in before.trace}
    assert [each.ranks["final"] for each in found.trace] == list(range(1, len(before.trace) + 1))
