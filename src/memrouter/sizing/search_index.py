"""What the Search module keeps of each memory beside its HASH.

Neither module shares the vector with the HASH: it is kept twice. valkey-search would, and asks the server for
``ValkeyModule_HashExternalize``, which Valkey 9.1 does not have (it has ``HashSetStringRef``, which valkey-search up to
1.2.1 does not know). So its interned copy stands beside the one in the HASH.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from memrouter.sizing.allocators import Allocator
from memrouter.sizing.workload import Workload


class SearchModule(StrEnum):
    """Whose module fills the index."""

    VALKEY_SEARCH = "valkey-search"
    REDISEARCH = "RediSearch"


@dataclass(frozen=True, slots=True)
class IndexSize:
    """Bytes of an index.

    Attributes:
        vectors: The copies of the vectors.
        graph: What finds a vector: labels, and for HNSW the links.
        fields: Keys, tags and numbers.
        words: The words of ``content``; 0 where they are not indexed.
        base: An empty index.
    """

    vectors: int
    graph: int
    fields: int
    words: int
    base: int


def index_size(module: SearchModule, workload: Workload, tags: Mapping[str, float], *, key_bytes: int) -> IndexSize:
    """Return what an index takes.

    Args:
        module: Whose it is.
        workload: What is kept.
        tags: How many memories share a value, by the name of each TAG field.
        key_bytes: Length of a memory's key.
    """
    if module is SearchModule.REDISEARCH:
        return _redisearch(workload, key_bytes)
    return _valkey_search(workload, tags, key_bytes)


_BLOCK: Final = 1024
"""RediSearch takes vectors in blocks of this many."""

_REDISEARCH_FIELDS: Final = 253
"""Measured on 2.10: document and key table, four TAGs, one NUMERIC and the vector's labels, without the key."""

_REDISEARCH_GRAPH: Final = 177
"""Measured on 2.10: what an HNSW node has beside its vector and the links that ``m`` decides on."""

_REDISEARCH_LINK: Final = 8.55
"""Measured on 2.10 for ``m`` 8 to 64: 2 links of 4 bytes in the lowest layer, few in the layers above."""

_REDISEARCH_WORDS: Final = 1.3
"""Measured on 2.10, bytes for each byte of content."""

_REDISEARCH_BASE: Final = 460_000


def _redisearch(workload: Workload, key_bytes: int) -> IndexSize:
    memories, links = workload.memories, workload.graph_links
    graph = _REDISEARCH_GRAPH + _REDISEARCH_LINK * links if links else 0.0
    return IndexSize(
        vectors=-(-memories // _BLOCK) * _BLOCK * workload.vector_bytes,
        graph=round(memories * graph),
        fields=memories * (_REDISEARCH_FIELDS + key_bytes),
        words=round(memories * _REDISEARCH_WORDS * workload.content_bytes) if workload.text_index else 0,
        base=_REDISEARCH_BASE,
    )


_CHUNK: Final = 10 * 1024
"""valkey-search takes nodes of its vector indexes in chunks of this many."""

_VECTOR_CHUNK: Final = 10 * 4096
_LEAST_IN_CHUNK: Final = 8
"""``FixedSizeAllocator`` takes room for vectors in pieces of ten pages, or of eight vectors where those are larger."""

_POINTER: Final = 8
_TAG_ENTRY: Final = 8 + 8 + 32
"""``Tag::TagInfo`` in ``tracked_tags_by_keys_``: key, interned text, a set of one tag that needs no heap."""

_NUMBER_ENTRY: Final = 8 + 8
_INTERNED: Final = 8 + 1
_LABELS: Final = (8 + 16, 8 + 8, 8 + 8)
"""``tracked_metadata_by_key_``, ``key_by_internal_id_`` and ``tracked_vectors_`` of a vector index."""

_NODE: Final = 32 + 8
"""A node of the ``std::unordered_map`` from label to place, and its bucket."""

_MUTEX: Final = 40
_LABEL_LOCKS: Final = 65_536
_WORDS: Final = 16
"""Measured on 1.2.1, bytes of a TEXT index for each byte of content (80 words of a memory took 9 KB)."""

_VALKEY_SEARCH_BASE: Final = 2_000_000


def _valkey_search(workload: Workload, tags: Mapping[str, float], key_bytes: int) -> IndexSize:
    memories, links, usable = workload.memories, workload.graph_links, Allocator.JEMALLOC.usable
    fields = usable(_INTERNED + key_bytes) + _slot(_POINTER, memories) + _slot(_NUMBER_ENTRY, memories)
    fields += sum(_slot(_TAG_ENTRY, memories) + _slot(_POINTER, sharing) for sharing in tags.values())
    fields += _slot(_NUMBER_ENTRY, memories) + _slot(_POINTER, memories)  # live_until, nearly always the same
    labels = sum(_slot(entry, memories) for entry in _LABELS) + _slot(_POINTER, memories) + usable(16) + _NODE
    chunks = -(-memories // _CHUNK) * _CHUNK
    return IndexSize(
        vectors=round(memories * _pooled(workload.vector_bytes)),
        graph=round(memories * (labels + _upper_links(links)) + chunks * _node(links)),
        fields=round(memories * fields),
        words=memories * _WORDS * workload.content_bytes if workload.text_index else 0,
        base=_VALKEY_SEARCH_BASE + (_MUTEX * _LABEL_LOCKS if links else 0),
    )


def _pooled(vector: int) -> float:
    """Return the bytes of a vector in ``FixedSizeAllocator``: rounded up to 8 with a NUL, and its free-list entry."""
    size = -(-(vector + 2) // 8) * 8
    entries = max(_LEAST_IN_CHUNK, _VECTOR_CHUNK // size)
    return Allocator.JEMALLOC.usable(entries * size) / entries + _POINTER


def _node(links: int) -> int:
    """Return the bytes of a vector's place in a chunk; for HNSW with the lowest layer, level and lock."""
    if not links:
        return 2 * _POINTER
    return -(-(8 * links + 4) // 8) * 8 + 2 * _POINTER + _POINTER + 4 + _MUTEX


def _upper_links(links: int) -> float:
    """Return the mean bytes of the layers above the lowest, which every ``links``-th node reaches, and so on."""
    return (4 * links + 4 + _POINTER) / (links - 1) if links else 0.0


def _slot(entry: int, entries: float) -> float:
    """Return the bytes of an ``absl`` hash table for each entry: a power of two of slots, at most 7/8 of them used."""
    slots = 1 << math.ceil(math.log2(max(2.0, entries * 8 / 7)))
    return (entry + 1) * slots / entries
