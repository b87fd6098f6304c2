"""What memories take in Milvus. Pure, and rougher than for Valkey: much depends on segments and on Go's collector."""

from dataclasses import dataclass
from typing import Final

from memrouter.sizing.workload import Workload, text_lengths
from memrouter.stores.milvus.rows import Held, memory_row
from memrouter.stores.milvus.schema import Layout

BASE_BYTES: Final = 400 << 20
"""Standalone 2.3 with a small collection in use, measured; fresh from its start it takes 245 MiB."""

HEAP_FACTOR: Final = 2.0
"""Resident memory over the entities that are loaded: measured 1.2 to 1.7 at rest, 3.6 shortly after a bulk load."""

DISK_BASE: Final = 370 << 20
DISK_FACTOR: Final = 2.2
"""Files over the entities, measured 1.7 to 2.1: the log of changes, segments, and their successors in a compaction."""

_NUMBER_BYTES: Final = 8
_NONCE: Final = "0" * 24


@dataclass(frozen=True, slots=True)
class MilvusSize:
    """Bytes of a Milvus Standalone.

    Attributes:
        entities: Fields of the loaded entities without their vectors.
        vectors: The vectors.
        vector_index: For HNSW the links and the index's own copy of the vectors; 0 for a flat index.
        overhead: What the resident memory has beyond these, for as many entities.
        base: The server with an empty collection.
        disk: Its files.
    """

    entities: int
    vectors: int
    vector_index: int
    overhead: int
    base: int
    disk: int

    @property
    def total(self) -> int:
        """Return the resident memory."""
        return self.entities + self.vectors + self.vector_index + self.overhead + self.base


def milvus_size(workload: Workload) -> MilvusSize:
    """Return what memories take in Milvus Standalone."""
    entities, vectors = workload.memories * _entity_bytes(workload), workload.memories * workload.vector_bytes
    links = workload.graph_links
    index = workload.memories * (8 * links + workload.vector_bytes) if links else 0
    held = entities + vectors + index
    return MilvusSize(
        entities=entities,
        vectors=vectors,
        vector_index=index,
        overhead=round((HEAP_FACTOR - 1) * held),
        base=BASE_BYTES,
        disk=DISK_BASE + round(DISK_FACTOR * held),
    )


def _entity_bytes(workload: Workload) -> int:
    record = workload.typical
    layout = Layout(own=True, dimension=workload.dimension, sizes={}, exact=True, metric="COSINE")
    held = Held(record, key=_NONCE + record.id, birth=_NONCE, version=1, nonce=_NONCE, change=1)
    row = memory_row(held, layout)
    numbers = sum(isinstance(value, int | float) for value in row.values())
    return sum(text_lengths({name: value for name, value in row.items() if isinstance(value, str)}).values()) + (
        _NUMBER_BYTES * numbers
    )
