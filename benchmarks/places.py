"""The stores that memories are moved between, each made empty."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.backends import backend, memory_of
from benchmarks.raw_writers import BASELINES, raw_writer
from memrouter.models.memory import MemoryRecord
from memrouter.stores.base import MemoryStore
from memrouter.stores.factory import open_store

Batches: TypeAlias = Sequence[Sequence[MemoryRecord]]


@dataclass(frozen=True, slots=True)
class Place:
    """A kind of store.

    Attributes:
        name: Shown in the tables.
        baseline: What ``raw`` does, shown in the tables.
        least: Memories per second that a merge with vectors supplied must do; None where nothing is demanded.
    """

    name: str
    baseline: str
    least: int | None = None

    @asynccontextmanager
    async def empty(self, *, dimension: int, model: str) -> AsyncIterator[MemoryStore]:
        """Open a store with nothing in it."""
        async with backend(self.name) as server:
            settings = memory_of(server.apart("memories"))
            store = await open_store(settings, dimension=dimension, embedding_model=model)
            try:
                yield store
            finally:
                await store.aclose()

    async def raw(self, batches: Batches, *, dimension: int, model: str) -> float:
        """Write batches through the bare driver; return how many seconds the writing took."""
        async with backend(self.name) as server:
            memory = memory_of(server.apart("memories"))
            async with raw_writer(memory, dimension=dimension, model=model) as write:
                return sum([await write(batch) for batch in batches])


PLACES: tuple[Place, ...] = (
    Place("sqlite", BASELINES["sqlite"], least=5_000),
    Place("valkey", BASELINES["valkey"], least=5_000),
    Place("milvus", BASELINES["milvus"]),
)
"""Every kind of store that moves are measured between."""

SLOW_PLACES: tuple[Place, ...] = (Place("milvus-lite", BASELINES["milvus"]),)
"""Those that are measured only where they are asked for, with fewer memories."""
