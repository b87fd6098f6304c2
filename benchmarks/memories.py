"""Memories that are the same on every run: random words, random unit vectors."""

from collections.abc import Iterator

import numpy as np

from memrouter.models.memory import MemoryRecord, Vector, unit

DIMENSION = 384
MODEL = f"hash-{DIMENSION}"
EPOCH = 1_750_000_000_000
WORDS = 30


class Memories:
    """Makes memories and questions.

    Args:
        seed: Of everything random.
        dimension: Length of the vectors.
    """

    def __init__(self, seed: int = 1, *, dimension: int = DIMENSION) -> None:
        self._dimension = dimension
        self._rng = np.random.default_rng(seed)
        self._number = 0

    def vector(self) -> Vector:
        """Return a random unit vector."""
        return unit(self._rng.standard_normal(self._dimension))

    def words(self, number: int = WORDS) -> str:
        """Return some of 5,000 words."""
        return " ".join(f"word{index}" for index in self._rng.integers(0, 5_000, number))

    def of(self, user_id: str, number: int) -> list[MemoryRecord]:
        """Return new memories of a user, oldest first."""
        return list(self._made(user_id, number))

    def _made(self, user_id: str, number: int) -> Iterator[MemoryRecord]:
        for vector in unit(self._rng.standard_normal((number, self._dimension))):
            self._number += 1
            yield MemoryRecord(
                id=f"b{self._number:012d}",
                user_id=user_id,
                content=self.words(),
                embedding=vector,
                embedding_model=MODEL,
                created_at=EPOCH + self._number,
                updated_at=EPOCH + self._number,
            )
