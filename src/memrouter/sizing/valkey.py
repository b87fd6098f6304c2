"""What memories take in the memory of a Valkey server, by part. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import mean
from typing import Final

from memrouter.sizing.keyspace import Keyspace, slot
from memrouter.sizing.search_index import SearchModule, index_size
from memrouter.sizing.workload import Workload, text_lengths
from memrouter.stores.valkey.keys import Keys, OwnerKeys
from memrouter.stores.valkey.rows import to_fields, twin_member

SERVER_BYTES: Final = 1_200_000
"""An empty Valkey with a Search module, measured; other modules come on top."""

_TIME_SCORE: Final = 9
_ZERO_SCORE: Final = 1
_INTEGER: Final = 16
_SIDE_KEYS: Final = 3
"""Of each user, beside the memories: ``ids``, ``content``, ``gen``. ``access`` comes with the first recall."""


@dataclass(frozen=True, slots=True)
class ServerKind:
    """What decides on how a server keeps things.

    Attributes:
        module: Whose Search module it has.
        keyspace: How it keeps keys.
    """

    module: SearchModule = SearchModule.VALKEY_SEARCH
    keyspace: Keyspace = field(default_factory=Keyspace)


@dataclass(frozen=True, slots=True)
class ValkeySize:
    """Bytes in a server's memory, by part; the sum is what its ``used_memory`` shows.

    Attributes:
        documents: The HASHes without their vectors, with keys and field names.
        vectors: The vectors in the HASHes.
        owner_lists: The lists beside the memories of each user.
        key_table: The server's table of keys.
        index_vectors: The index's copies of the vectors.
        vector_index: What finds a vector: labels, and for HNSW the links.
        index_fields: Keys, tags and numbers in the index.
        word_index: The words of ``content``; 0 where they are not indexed.
        base: The server and an empty index.
    """

    documents: int
    vectors: int
    owner_lists: int
    key_table: int
    index_vectors: int
    vector_index: int
    index_fields: int
    word_index: int
    base: int

    @property
    def data(self) -> int:
        """Return the sum without the server itself and the empty index."""
        return self.total - self.base

    @property
    def total(self) -> int:
        """Return the sum."""
        hashes = self.documents + self.vectors + self.owner_lists + self.key_table
        index = self.index_vectors + self.vector_index + self.index_fields + self.word_index
        return hashes + index + self.base


def valkey_size(workload: Workload, kind: ServerKind | None = None) -> ValkeySize:
    """Return what memories take in a server's memory; ``kind`` None stands for valkey-search on an official build."""
    kind = kind or ServerKind()
    keys, lengths = owner_keys(workload), field_lengths(workload)
    key_bytes = len(keys.memory(workload.typical.id).encode())
    vector = kind.keyspace.long_value(workload.vector_bytes, compact=kind.keyspace.is_compact(lengths))
    index = index_size(kind.module, workload, _sharing(workload), key_bytes=key_bytes)
    names = workload.memories + _SIDE_KEYS * workload.owners
    return ValkeySize(
        documents=round(workload.memories * (_mean_hash(workload, kind.keyspace, key_bytes) - vector)),
        vectors=workload.memories * vector,
        owner_lists=round(_owner_lists(workload, keys, kind.keyspace)),
        key_table=round(names * slot(names)),
        index_vectors=index.vectors,
        vector_index=index.graph,
        index_fields=index.fields,
        word_index=index.words,
        base=SERVER_BYTES + index.base,
    )


def owner_keys(workload: Workload) -> OwnerKeys:
    """Return the keys of a typical user."""
    return Keys(workload.prefix).of_user(workload.typical.user_id)


def field_lengths(workload: Workload) -> dict[str, int]:
    """Return the bytes of each value in the HASH of a typical memory."""
    record = workload.typical
    return text_lengths(to_fields(record, dimension=workload.dimension, embedding_model=record.embedding_model))


def _mean_hash(workload: Workload, keyspace: Keyspace, key_bytes: int) -> float:
    lengths = field_lengths(workload)
    return mean(keyspace.hash(key_bytes, {**lengths, "content": size}) for size in workload.contents)


def _owner_lists(workload: Workload, keys: OwnerKeys, keyspace: Keyspace) -> float:
    record, size = workload.typical, workload.per_user
    members = keyspace.zset_member(len(record.id), size, score_bytes=_TIME_SCORE)
    members += keyspace.zset_member(len(twin_member(record)), size, score_bytes=_ZERO_SCORE)
    lists = keyspace.zset(len(keys.ids)) + keyspace.zset(len(keys.content)) + keyspace.key(len(keys.generation))
    return workload.memories * members + workload.owners * (lists + _INTEGER)


def _sharing(workload: Workload) -> Mapping[str, float]:
    """Return how many memories share a value, by the name of each TAG field."""
    return {
        "owner": workload.per_user,
        "scope": workload.per_user,
        "memory_type": workload.memories,
        "source": workload.memories,
    }
