"""What retrieval brings back."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from memrouter.models.memory import MemoryRecord


class Hit(msgspec.Struct, frozen=True, eq=False):
    """A memory with its scores, all 0 to 1.

    Attributes:
        record: The memory.
        vector_score: Similarity of the vectors, (1 + cosine) / 2.
        lexical_score: Share of the query's weight in words that the memory holds; 0 where words do not count.
        score: How sure it is that the memory bears on the question, on the scale of ``vector_score`` and the same in
            every mode; equal to it where words do not count.
    """

    record: MemoryRecord
    vector_score: float
    lexical_score: float
    score: float


class Traced(msgspec.Struct, frozen=True, eq=False):
    """What ranking made of one candidate; only for an explanation.

    Attributes:
        record: The memory.
        parts: Value of each signal by its name, such as ``vector``, ``words`` or ``neighbour``.
        value: What the order comes from, higher is better.
        score: What the threshold was compared with, as ``Hit.score``.
        ranks: Place by each signal and by ``final``, from 1.
        dropped: Why it is no hit; None for a hit.
    """

    record: MemoryRecord
    parts: Mapping[str, float]
    value: float
    score: float
    ranks: Mapping[str, int]
    dropped: Literal["threshold", "gap", "limit", "duplicate"] | None


class Recall(msgspec.Struct, frozen=True, eq=False):
    """The result of one retrieval.

    Attributes:
        hits: Relevant memories, best first.
        considered: Number of memories that were ranked.
        best_miss: Highest ``score`` that fell short of the threshold; None if none did.
        trace: Every candidate in the final order; empty where no explanation was asked for.
    """

    hits: tuple[Hit, ...]
    considered: int
    best_miss: float | None
    trace: tuple[Traced, ...] = ()
