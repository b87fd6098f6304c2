"""What is to be kept: how many memories, of what size, of how many users, in what index."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from memrouter.errors import InvalidRequest
from memrouter.models.memory import MAX_CONTENT_BYTES, MemoryRecord, Vector

MEMORIES_PER_USER: Final = 100
"""Where the number of users is not given."""

MAX_MEMORIES: Final = 10**10
MAX_DIMENSION: Final = 32_768
LINKS: Final = (2, 512)
EPOCH_MS: Final = 1_750_000_000_000
MODEL: Final = "wordllama-256"

_SPREAD: Final = (0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.7)
"""Contents of a store beside their mean: allocators round up, so one size would give a wrong picture."""

_USER: Final = "user-000000@example.com"


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be kept.

    Attributes:
        memories: Number of memories.
        dimension: Length of the vectors.
        content_bytes: Mean of the contents, in bytes of UTF-8.
        users: Number of users who have them in equal shares; 0 stands for one for each 100 memories.
        graph_links: ``index_m`` of an HNSW index; 0 for a flat one.
        text_index: Whether the server indexes the words of ``content`` too (Valkey, ``text_index: true``).
        prefix: ``collection_prefix`` of the keys.

    Raises:
        InvalidRequest: A number is out of range.
    """

    memories: int
    dimension: int
    content_bytes: int = 600
    users: int = 0
    graph_links: int = 0
    text_index: bool = False
    prefix: str = "mem:"
    typical: MemoryRecord = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _require("--memories", self.memories, 1, MAX_MEMORIES)
        _require("--dimension", self.dimension, 1, MAX_DIMENSION)
        _require("--content-bytes", self.content_bytes, 1, MAX_CONTENT_BYTES)
        _require("--users", self.users, 0, self.memories)
        if self.graph_links:
            _require("--m", self.graph_links, *LINKS)
        object.__setattr__(self, "typical", typical_memory(0, _USER, "x" * self.content_bytes, _axis(self.dimension)))

    @property
    def owners(self) -> int:
        """Return how many users there are, at least one."""
        return self.users or max(1, math.ceil(self.memories / MEMORIES_PER_USER))

    @property
    def per_user(self) -> float:
        """Return how many memories a user has."""
        return self.memories / self.owners

    @property
    def contents(self) -> tuple[int, ...]:
        """Return sizes of contents that have the workload's mean."""
        return tuple(max(1, round(share * self.content_bytes)) for share in _SPREAD)

    @property
    def vector_bytes(self) -> int:
        """Return the size of one vector: float32."""
        return 4 * self.dimension


def typical_memory(number: int, user_id: str, content: str, vector: Vector) -> MemoryRecord:
    """Return a memory as a finished turn leaves it, made up but for its text: ids, times and names of usual length."""
    return MemoryRecord(
        id=f"mem_{number:032x}",
        user_id=user_id,
        content=content,
        embedding=vector,
        embedding_model=MODEL,
        created_at=EPOCH_MS + number,
        updated_at=EPOCH_MS + number,
        conversation_id=f"{number % 97:032x}",
        turn_index=number % 20,
        role="turn",
    )


def text_lengths(fields: Mapping[str, str | bytes]) -> dict[str, int]:
    """Return the bytes of each value."""
    return {name: len(value if isinstance(value, bytes) else value.encode()) for name, value in fields.items()}


def _axis(dimension: int) -> Vector:
    vector = np.zeros(dimension, dtype=np.float32)
    vector[0] = 1.0
    return vector


def _require(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidRequest(f"{name} is {value}; it must be {least} to {most}", param=name)
