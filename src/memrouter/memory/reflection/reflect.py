"""The filter between retrieval and injection: what is blocked, said already, or too long."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from memrouter.config.extensions import REFLECTION_ALGORITHMS
from memrouter.config.memory import ReflectionSettings
from memrouter.memory.hits import Hit
from memrouter.memory.reflection.block_patterns import BlockPatterns
from memrouter.memory.reflection.drops import Drop, Dropped, Selection
from memrouter.memory.reflection.reflection_algorithms import BUILT_IN, ReflectionAlgorithm
from memrouter.models.memory import MemoryRecord

INLINE_CHARS: Final = 2_000
"""Texts up to this size together are filtered in the event loop: under 1 ms, most of it for counting tokens."""
INLINE_HITS: Final = 64
"""Most hits that are filtered in the event loop."""


class Weigher(Protocol):
    """Tells how many tokens a memory takes in the prompt."""

    def at_most(self, record: MemoryRecord) -> int:
        """Return a number of tokens that the memory cannot exceed, without counting them."""
        ...

    def count(self, record: MemoryRecord) -> int:
        """Return the number of tokens."""
        ...


class ReflectionFilter:
    """Chooses what is injected.

    In turn: memories that a pattern blocks go; the algorithm orders the rest and leaves out what says the same; then
    whole memories are taken in that order while they fit the budget, one that does not fit being skipped for the next.
    With ``settings.enabled`` off only the budget applies. May be used by any number of requests at once.

    Args:
        settings: Those of the route.
        algorithm: The one that ``settings.algorithm`` names.
        weigher: Counts tokens.

    Attributes:
        settings: As given.
    """

    def __init__(self, settings: ReflectionSettings, *, algorithm: ReflectionAlgorithm, weigher: Weigher) -> None:
        self.settings = settings
        self._patterns = BlockPatterns(settings.block_patterns if settings.enabled else ())
        self._algorithm = algorithm
        self._weigher = weigher
        self._inline = not self._patterns and settings.algorithm in REFLECTION_ALGORITHMS

    async def select(self, hits: Sequence[Hit], *, now: int) -> Selection:
        """Return what became of the hits; patterns, foreign algorithms and long texts are worked on in a thread.

        Args:
            hits: Best first.
            now: Milliseconds since the epoch.
        """
        return self.apply(hits, now=now) if self.is_quick(hits) else await asyncio.to_thread(self.apply, hits, now=now)

    def is_quick(self, hits: Sequence[Hit]) -> bool:
        """Return whether ``apply`` may run in the event loop."""
        if not self._inline or len(hits) > INLINE_HITS:
            return False
        return sum([len(hit.record.content) for hit in hits]) <= INLINE_CHARS

    def apply(self, hits: Sequence[Hit], *, now: int) -> Selection:
        """Return what became of the hits, in this thread; see ``select``."""
        left, dropped = tuple(hits), list[Dropped]()
        if self.settings.enabled:
            left = self._unblocked(left, dropped) if self._patterns else left
            left = self._arranged(left, now, dropped)
        left = self._fitting(left, dropped)
        return Selection(left, tuple(dropped))

    def _unblocked(self, hits: tuple[Hit, ...], dropped: list[Dropped]) -> tuple[Hit, ...]:
        verdicts = [self._patterns.verdict(hit.record.content) for hit in hits]
        dropped += [Dropped(hit, verdict) for hit, verdict in zip(hits, verdicts, strict=True) if verdict]
        return tuple(hit for hit, verdict in zip(hits, verdicts, strict=True) if verdict is None)

    def _arranged(self, hits: tuple[Hit, ...], now: int, dropped: list[Dropped]) -> tuple[Hit, ...]:
        """Return what the algorithm keeps: hits that it was given, each once, whatever it returns."""
        chosen = self._algorithm(hits, self.settings, now=now)
        if self._algorithm in BUILT_IN.values():
            dropped += chosen.dropped
            return chosen.kept
        given = {id(hit): hit for hit in hits}
        kept = tuple(hit for hit in chosen.kept if given.pop(id(hit), None) is not None)
        reasons = [drop for drop in chosen.dropped if given.pop(id(drop.hit), None) is not None]
        dropped += [*reasons, *(Dropped(hit, Drop.ALGORITHM) for hit in given.values())]
        return kept

    def _fitting(self, hits: tuple[Hit, ...], dropped: list[Dropped]) -> tuple[Hit, ...]:
        left = self.settings.max_inject_tokens
        if sum([self._weigher.at_most(hit.record) for hit in hits]) <= left:
            return hits
        kept = []
        for hit in hits:
            tokens = self._weigher.count(hit.record)
            if tokens > left:
                dropped.append(Dropped(hit, Drop.BUDGET))
                continue
            kept.append(hit)
            left -= tokens
        return tuple(kept)
