"""The reflection algorithm ``recency_semantic``: newer first, each thing once. Pure."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from memrouter.config.memory import ReflectionSettings
from memrouter.memory.extraction.relative_dates import without_dates
from memrouter.memory.hits import Hit
from memrouter.memory.reflection.drops import Drop, Dropped, Selection
from memrouter.models.memory import Source, similarity

RECENCY_SHARE: Final = 0.1
"""Largest share of its score that a memory loses by age, so that an old but exact one survives."""

_DAY_MS: Final = 86_400_000


def recency_semantic(hits: Sequence[Hit], settings: ReflectionSettings, *, now: int) -> Selection:
    """Return the hits ordered anew with age counted in, without those that repeat a better one.

    A few hits take well under 1 ms; hundreds of them belong in a thread.

    Args:
        hits: Best first.
        settings: ``recency_decay_days`` and ``dedup_threshold`` count.
        now: Milliseconds since the epoch.
    """
    return _distinct(_by_recency(hits, settings.recency_decay_days, now), settings.dedup_threshold)


def recency(age_ms: float, half_life_days: float) -> float:
    """Return the factor on a score for age: 1 when new, half of RECENCY_SHARE lost after one half-life.

    That is 1 - RECENCY_SHARE * (1 - 2 ** (-age / half-life)); a memory from the future counts as new.
    """
    fresh = math.exp2(-max(0.0, age_ms) / (half_life_days * _DAY_MS))
    return 1 - RECENCY_SHARE * (1 - fresh)


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


def _distinct(hits: Sequence[Hit], threshold: float) -> Selection:
    if not hits:
        return Selection(())
    vectors = np.concatenate([hit.record.embedding for hit in hits]).reshape(len(hits), -1)
    # Not a product by BLAS, whose threads take longer to wake than this takes.
    cosines = np.einsum("ij,kj->ik", vectors, vectors).tolist()
    windows = [place for place, hit in enumerate(hits) if _is_window(hit)]
    kept: list[int] = []
    dropped: list[Dropped] = []
    for place, hit in enumerate(hits):
        better = max(kept, key=cosines[place].__getitem__, default=None)
        if better is not None and round(similarity(cosines[place][better]), 6) < threshold:
            others = [other for other in kept if (other in windows) != (place in windows)] if windows else ()
            better = next((other for other in others if _window_repeats(hit, hits[other])), None)
        if better is None:
            kept.append(place)
        else:
            dropped.append(Dropped(hit, Drop.DUPLICATE, hits[better].record.id))
    return Selection(tuple([hits[place] for place in kept]), tuple(dropped))


def _is_window(hit: Hit) -> bool:
    return hit.record.source is Source.SESSION_WINDOW


def _window_repeats(one: Hit, other: Hit) -> bool:
    """Return whether the one of the two that is a session window contains the text of the other."""
    window, turn = (one, other) if _is_window(one) else (other, one)
    # Dates that were added stand in a window for its last turn only.
    said, whole = (" ".join(without_dates(hit.record.content).split()) for hit in (turn, window))
    return said in whole
