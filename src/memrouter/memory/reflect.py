"""The filter between retrieval and injection: what is blocked, said already, or too long. Pure."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import regex

from memrouter.config.memory import ReflectionSettings
from memrouter.memory.hits import Hit
from memrouter.models.memory import Source, similarity

RECENCY_SHARE = 0.1
"""Largest share of its score that a memory loses by age, so that an old but exact one survives."""
PATTERN_SECONDS = 0.01
"""Longest time that one pattern may search one memory."""

_DAY_MS = 86_400_000


class Drop(StrEnum):
    """Why a memory was left out."""

    BLOCKED = "blocked"
    """A block pattern found something in it."""
    PATTERN_TIMEOUT = "pattern_timeout"
    """A block pattern ran out of time on it; it is left out to be safe."""
    DUPLICATE = "duplicate"
    """A better memory says the same."""
    BUDGET = "budget"
    """It did not fit into the tokens that were left."""


@dataclass(frozen=True, slots=True, eq=False)
class Reflected:
    """What is left of the hits.

    Attributes:
        hits: Those to inject, best first.
        dropped: How many were left out for each reason that occurred.
    """

    hits: tuple[Hit, ...]
    dropped: Mapping[Drop, int]


class BlockPatterns:
    """Regular expressions that keep memories out of prompts, compiled once.

    Args:
        patterns: In the syntax of Python's ``regex`` package; searched anywhere in a memory, case counts.

    Raises:
        regex.error: One of them is no regular expression; loading a configuration refuses such patterns.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [regex.compile(pattern) for pattern in patterns]

    def verdict(self, text: str) -> Drop | None:
        """Return why ``text`` must not be injected, or None. Takes up to PATTERN_SECONDS a pattern."""
        for pattern in self._patterns:
            try:
                if pattern.search(text, timeout=PATTERN_SECONDS, concurrent=True):
                    return Drop.BLOCKED
            except TimeoutError:
                return Drop.PATTERN_TIMEOUT
        return None


def reflect(
    hits: Sequence[Hit],
    settings: ReflectionSettings,
    *,
    now: int,
    count_tokens: Callable[[str], int],
    patterns: BlockPatterns,
) -> Reflected:
    """Return the hits that should be injected, in the order of injection.

    In turn: memories that a pattern blocks go; the rest is ordered anew with age counted in; of memories that say
    the same the better stays; then whole memories are taken in order while they fit, one that does not fit being
    skipped for the next. With ``settings.enabled`` off only the token budget applies.

    A few hits take well under 1 ms without patterns; with patterns or hundreds of hits, call it in a thread.

    Args:
        hits: Best first.
        settings: Budget, thresholds and half-life.
        now: Milliseconds since the epoch.
        count_tokens: Tokens that a content takes in the prompt, with what the block adds around each.
        patterns: Compiled from ``settings.block_patterns``.
    """
    dropped: Counter[Drop] = Counter()
    left = list(hits)
    if settings.enabled:
        left = _unblocked(left, patterns, dropped)
        left = _by_recency(left, settings.recency_decay_days, now)
        left = _distinct(left, settings.dedup_threshold, dropped)
    left = _fitting(left, settings.max_inject_tokens, count_tokens, dropped)
    return Reflected(tuple(left), dict(dropped))


def recency(age_ms: float, half_life_days: float) -> float:
    """Return the factor on a score for age: 1 when new, half of RECENCY_SHARE lost after one half-life."""
    fresh = math.exp2(-max(0.0, age_ms) / (half_life_days * _DAY_MS))
    return 1 - RECENCY_SHARE * (1 - fresh)


def _unblocked(hits: Sequence[Hit], patterns: BlockPatterns, dropped: Counter[Drop]) -> list[Hit]:
    kept = []
    for hit in hits:
        verdict = patterns.verdict(hit.record.content)
        if verdict is None:
            kept.append(hit)
        else:
            dropped[verdict] += 1
    return kept


def _by_recency(hits: Sequence[Hit], half_life_days: float, now: int) -> list[Hit]:
    """Return the hits ordered by standing times recency; equal ones keep their order.

    A hit's standing is the highest score from its place on down: ranking put it there, so it counts for at least as
    much as any hit below it, though the fused order is not that of the scores.
    """
    weighed = []
    standing = 0.0
    for place in range(len(hits) - 1, -1, -1):
        hit = hits[place]
        standing = max(standing, hit.score)
        weighed.append((-standing * recency(now - hit.record.created_at, half_life_days), place))
    return [hits[place] for _, place in sorted(weighed)]


def _distinct(hits: Sequence[Hit], threshold: float, dropped: Counter[Drop]) -> list[Hit]:
    if not hits:
        return []
    kept: list[Hit] = []
    vectors = np.empty((len(hits), hits[0].record.embedding.size), dtype=np.float32)
    for hit in hits:
        cosines = np.einsum("ij,j->i", vectors[: len(kept)], hit.record.embedding)  # quicker here than BLAS threads
        nearest = similarity(float(cosines.max())) if kept else -1.0
        if round(nearest, 6) >= threshold or any(_window_repeats(hit, better) for better in kept):
            dropped[Drop.DUPLICATE] += 1
            continue
        vectors[len(kept)] = hit.record.embedding
        kept.append(hit)
    return kept


def _window_repeats(one: Hit, other: Hit) -> bool:
    """Return whether one of the two is a session window and contains the text of the other, which is none."""
    is_window = [hit.record.source is Source.SESSION_WINDOW for hit in (one, other)]
    if is_window[0] == is_window[1]:
        return False
    window, turn = (one, other) if is_window[0] else (other, one)
    return " ".join(turn.record.content.split()) in " ".join(window.record.content.split())


def _fitting(hits: Sequence[Hit], budget: int, count_tokens: Callable[[str], int], dropped: Counter[Drop]) -> list[Hit]:
    kept = []
    left = budget
    for hit in hits:
        tokens = count_tokens(hit.record.content)
        if tokens > left:
            dropped[Drop.BUDGET] += 1
            continue
        kept.append(hit)
        left -= tokens
    return kept
