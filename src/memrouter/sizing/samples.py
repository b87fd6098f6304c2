"""Made-up memories to measure with: of the workload's sizes, the same for the same random numbers."""

import random
from collections.abc import Iterator
from typing import Final

import numpy as np

from memrouter.models.memory import MemoryRecord, unit
from memrouter.sizing.workload import Workload, typical_memory

BATCH: Final = 200
_VOCABULARY: Final = 5_000


def sample_batches(workload: Workload, rng: random.Random) -> Iterator[list[MemoryRecord]]:
    """Yield the workload's memories, user after user, in batches of at most 200."""
    vectors = np.random.default_rng(rng.getrandbits(64))
    sizes = workload.contents
    for first in range(0, workload.memories, BATCH):
        numbers = range(first, min(first + BATCH, workload.memories))
        matrix = unit(vectors.standard_normal((len(numbers), workload.dimension)))
        yield [
            typical_memory(number, _user(workload, number), _words(rng, sizes[number % len(sizes)]), vector)
            for number, vector in zip(numbers, matrix, strict=True)
        ]


def _user(workload: Workload, number: int) -> str:
    return f"user-{number * workload.owners // workload.memories:06d}@example.com"


def _words(rng: random.Random, size: int) -> str:
    words: list[str] = []
    left = size
    while left > 0:
        words.append(f"word{rng.randrange(_VOCABULARY)}")
        left -= len(words[-1]) + 1
    return " ".join(words)[:size]
