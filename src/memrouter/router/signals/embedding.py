"""Embedding signals: last user messages that are close in meaning to candidates."""

import asyncio
import logging
from collections.abc import Sequence

import numpy as np

from memrouter.config.routing import EmbeddingRule
from memrouter.embeddings.base import Embedder
from memrouter.errors import EmbeddingError
from memrouter.models.memory import Matrix, Vector
from memrouter.models.turn import Turn

_logger = logging.getLogger(__name__)

_QUERY_CHARACTERS = 8192
_ROUNDING = 1e-6
"""What float32 may take from a cosine, so that a threshold of 1 is met by equal texts."""


class EmbeddingSignals:
    """Compares the first 8,192 characters of the last user message with every rule's candidates.

    The candidates are embedded once, at the first request that asks. Where the embedder fails or is too slow nothing
    matches, and the request goes on.

    Args:
        rules: The configured rules.
        embedder: Turns both sides into vectors.
        timeout: Most seconds that one request waits for the embedder.
    """

    def __init__(self, rules: Sequence[EmbeddingRule], *, embedder: Embedder, timeout: float = 1.0) -> None:
        self._rules = tuple(rules)
        self._embedder = embedder
        self._timeout = timeout
        self._candidates: asyncio.Task[Matrix] | None = None

    async def evaluate(self, turn: Turn) -> frozenset[str]:
        """Return the names of the rules that match."""
        text = turn.request.query[:_QUERY_CHARACTERS]
        if not text.strip():
            return frozenset()
        try:
            async with asyncio.timeout(self._timeout):
                candidates = await self._embedded_candidates()
                query = (await self._embedder.embed([text]))[0]
        except EmbeddingError as error:
            _logger.warning("embedding signals do not match: %s", error)
        except TimeoutError:
            _logger.warning("embedding signals do not match: the embedder took longer than %s s", self._timeout)
        else:
            return self._near(candidates, query)
        return frozenset()

    def _near(self, candidates: Matrix, query: Vector) -> frozenset[str]:
        cosines = np.einsum("ij,j->i", candidates, query)
        names = set()
        start = 0
        for rule in self._rules:
            own = cosines[start : start + len(rule.candidates)]
            start += len(rule.candidates)
            score = own.mean() if rule.aggregation_method == "mean" else own.max()
            if score >= rule.threshold - _ROUNDING:
                names.add(rule.name)
        return frozenset(names)

    async def _embedded_candidates(self) -> Matrix:
        """Return all candidates as rows in the order of the rules; concurrent requests share one attempt."""
        task = self._candidates
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._candidates = asyncio.create_task(self._embed_candidates())
            task.add_done_callback(_mark_as_seen)
        return await asyncio.shield(task)

    async def _embed_candidates(self) -> Matrix:
        return await self._embedder.embed([text for rule in self._rules for text in rule.candidates])


def _mark_as_seen(task: asyncio.Task[Matrix]) -> None:
    """Look at the outcome, since every request that waited for it may be gone."""
    if not task.cancelled():
        task.exception()
