"""What memories take in the files of a Valkey server. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from memrouter.sizing.search_index import SearchModule
from memrouter.sizing.valkey import field_lengths, owner_keys
from memrouter.sizing.workload import Workload
from memrouter.stores.valkey.rows import twin_member

_TIME: Final = 13
_GENERATION: Final = 16
_TRANSACTION: Final = 15 + 14
"""``MULTI`` and ``EXEC`` around what a script writes."""

_TEXT_KEPT: Final = 0.85
_LISTS_KEPT: Final = 0.9
"""What LZF leaves of contents and lists (``rdbcompression yes``); vectors and digests do not shrink."""

_COMPRESSED: Final = frozenset({"content", "record"})
_ZSET_SCORE: Final = 10


@dataclass(frozen=True, slots=True)
class ValkeyDisk:
    """Bytes of a server's files.

    Attributes:
        aof: The append-only file where every memory was written once and none rewritten since.
        aof_rewritten: The same after a rewrite, which leaves an RDB and what came since.
        rdb: A snapshot.
        peak: Most of all at a time: the AOF as it grows to twice its size, and its successor beside it.
    """

    aof: int
    aof_rewritten: int
    rdb: int

    @property
    def peak(self) -> int:
        """Return what the volume must hold while a rewrite runs, at ``auto-aof-rewrite-percentage 100``."""
        return max(self.aof, 2 * self.aof_rewritten) + self.aof_rewritten


def valkey_disk(workload: Workload, module: SearchModule = SearchModule.VALKEY_SEARCH) -> ValkeyDisk:
    """Return what memories take on disk that came one at a time, as turns do."""
    keys, record, lengths = owner_keys(workload), workload.typical, field_lengths(workload)
    key, member = len(keys.memory(record.id)), len(twin_member(record))
    fields = [part for name, size in lengths.items() for part in (len(name), size)]
    appended = (
        _command(4, key, *fields)
        + _command(4, len(keys.ids), _TIME, len(record.id))
        + _command(4, len(keys.content), 1, member)
        + _command(3, len(keys.generation), _GENERATION)
        + _TRANSACTION
    )
    kept = key + sum(_saved(name, size) for name, size in lengths.items())
    lists = _LISTS_KEPT * (len(record.id) + member + 2 * _ZSET_SCORE)
    shared = (len(keys.ids) + len(keys.content) + len(keys.generation) + _GENERATION) * workload.owners
    rdb = round(workload.memories * (kept + lists + _index_bytes(workload, module, key)) + shared)
    return ValkeyDisk(aof=workload.memories * appended, aof_rewritten=rdb, rdb=rdb)


def _index_bytes(workload: Workload, module: SearchModule, key: int) -> int:
    """Return what the module adds to a snapshot for each memory: valkey-search saves its index, RediSearch none."""
    if module is SearchModule.REDISEARCH:
        return 0
    links = 8 * workload.graph_links + 4 if workload.graph_links else 0
    return workload.vector_bytes + 8 + links + 2 * (key + 16)


def _saved(name: str, size: int) -> float:
    return len(name) + 2 + 1 + (_TEXT_KEPT if name in _COMPRESSED else 1.0) * size


def _command(*arguments: int) -> int:
    """Return the bytes of a command whose words have these lengths, in the protocol that the file is written in."""
    return len(f"*{len(arguments)}\r\n") + sum(_words(arguments))


def _words(arguments: Iterable[int]) -> Iterable[int]:
    return (len(f"${size}\r\n") + size + 2 for size in arguments)
