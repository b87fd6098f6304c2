"""The best memories in the order of a cross-encoder; without it, or where it fails, in the fused order."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

import msgspec

from memrouter.clock import Clock
from memrouter.errors import RerankError
from memrouter.memory.hits import Recall, Traced
from memrouter.memory.policy import RecallPolicy
from memrouter.rerankers.base import Reranker
from memrouter.stores.circuit import Circuit

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 5.0
"""Time for which a reranker that failed is not asked again."""


class RerankObserver(Protocol):
    """Counts what came of re-ranking."""

    def reranked(self, *, outcome: str, seconds: float) -> None:
        """Note one try: ``ok``, ``failed``, ``timeout`` or ``skipped``."""
        ...


class RerankStage:
    """Orders what retrieval found anew.

    Only memories that reached the threshold are read: the cross-encoder decides on their order, not on whether they
    are relevant. After a failure or a timeout the fused order stands, and the model is left alone for PAUSE_SECONDS.

    Args:
        reranker: The model.
        candidates: Most memories that it reads.
        max_seconds: Most time that it gets.
        observer: Counts.
        clock: Times.
    """

    def __init__(
        self, reranker: Reranker, *, candidates: int, max_seconds: float, observer: RerankObserver, clock: Clock
    ) -> None:
        self._reranker = reranker
        self._candidates = candidates
        self._max_seconds = max_seconds
        self._observer = observer
        self._clock = clock
        self._circuit = Circuit(clock=clock, pause=PAUSE_SECONDS)

    def widened(self, policy: RecallPolicy) -> RecallPolicy:
        """Return the policy that finds enough memories to choose from."""
        return replace(policy, limit=max(policy.limit, self._candidates))

    async def order(self, query: str, recall: Recall, *, limit: int) -> Recall:
        """Return the best ``limit`` hits of a recall under ``widened``; never raises for the model's sake.

        In the trace each memory that was read gets the part and rank ``reranker`` and the rank ``fused``, which was
        its final one before.
        """
        read = recall.hits[: self._candidates]
        scores = await self._scores(query, [hit.record.content for hit in read]) if len(read) > 1 else None
        order = list(range(len(recall.hits)))
        if scores is not None:
            order[: len(read)] = sorted(range(len(read)), key=lambda place: -scores[place])
        hits = tuple(recall.hits[place] for place in order)
        known = {} if scores is None else {hit.record.id: score for hit, score in zip(read, scores, strict=True)}
        trace = _reordered(recall.trace, [hit.record.id for hit in hits], known, limit)
        return msgspec.structs.replace(recall, hits=hits[:limit], trace=trace)

    async def _scores(self, query: str, texts: Sequence[str]) -> list[float] | None:
        if not self._circuit.allows():
            self._observer.reranked(outcome="skipped", seconds=0)
            return None
        begun = self._clock.monotonic()
        outcome, scores = await self._ask(query, texts)
        self._observer.reranked(outcome=outcome, seconds=self._clock.monotonic() - begun)
        return scores

    async def _ask(self, query: str, texts: Sequence[str]) -> tuple[str, list[float] | None]:
        try:
            async with asyncio.timeout(self._max_seconds):
                scores = await self._reranker.score(query, texts)
        except TimeoutError:
            self._failed(f"it took longer than {self._max_seconds * 1000:g} ms")
            return "timeout", None
        except RerankError as error:
            self._failed(str(error))
            return "failed", None
        if self._circuit.succeeded():
            logger.info("the reranker answers again")
        return "ok", scores

    def _failed(self, reason: str) -> None:
        if self._circuit.failed():
            logger.warning("memories keep their order without the reranker: %s", reason)


def _reordered(
    trace: Sequence[Traced], order: Sequence[str], scores: Mapping[str, float], limit: int
) -> tuple[Traced, ...]:
    """Return the trace with the hits first, in their order, those behind ``limit`` marked, and final ranks anew."""
    if not trace:
        return ()
    by_id = {traced.record.id: traced for traced in trace}
    moved = [by_id.pop(each) for each in order]
    cut = frozenset(order[limit:])
    return tuple(
        _moved(traced, place, score=scores.get(traced.record.id), cut=traced.record.id in cut)
        for place, traced in enumerate((*moved, *by_id.values()), start=1)
    )


def _moved(traced: Traced, place: int, *, score: float | None, cut: bool) -> Traced:
    ranks = {**traced.ranks, "final": place}
    parts = dict(traced.parts)
    if score is not None:
        parts["reranker"] = score
        ranks |= {"fused": traced.ranks["final"], "reranker": place}  # those that were read stand first, by score
    return msgspec.structs.replace(traced, parts=parts, ranks=ranks, dropped="limit" if cut else traced.dropped)
