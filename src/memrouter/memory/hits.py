"""What retrieval brings back."""

from dataclasses import dataclass

from memrouter.models.memory import MemoryRecord


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """A memory with its scores, all 0 to 1.

    Attributes:
        record: The memory.
        vector_score: Similarity of the vectors, (1 + cosine) / 2.
        lexical_score: Share of the query's weight in words that the memory holds; 0 where words do not count.
        score: Both together, on the scale of ``vector_score``: equal to it where no word matches, higher otherwise.
    """

    record: MemoryRecord
    vector_score: float
    lexical_score: float
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Recall:
    """The result of one retrieval.

    Attributes:
        hits: Relevant memories, best first.
        considered: Number of memories that were ranked.
        best_miss: Highest ``score`` that fell short of the threshold; None if none did.
    """

    hits: tuple[Hit, ...]
    considered: int
    best_miss: float | None
