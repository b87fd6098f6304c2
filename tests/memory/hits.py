"""Hits for tests of what follows retrieval."""

from typing import Any

import numpy as np

from memrouter.memory.hits import Hit
from memrouter.models.memory import MemoryRecord, Vector

DAY = 86_400_000
NOW = 1000 * DAY


def axis(number: int) -> Vector:
    vector = np.zeros(16, dtype=np.float32)
    vector[number % 16] = 1
    return vector


def record(memory_id: str, *, days: float = 0, embedding: Vector | None = None, **fields: Any) -> MemoryRecord:
    """Return a memory whose vector is far from that of memories with another last digit."""
    created = int(NOW - days * DAY)
    return MemoryRecord(
        id=memory_id,
        user_id="ann",
        content=fields.pop("content", f"text {memory_id}"),
        embedding=axis(ord(memory_id[-1])) if embedding is None else embedding,
        embedding_model="test",
        created_at=created,
        updated_at=created,
        **fields,
    )


def hit(memory_id: str, score: float = 0.8, **fields: Any) -> Hit:
    return Hit(record(memory_id, **fields), score, 0.0, score)
