"""What keys, HASHes and ZSETs cost in a Valkey server, from the layouts in Valkey 9's source; checked by measuring.

Servers of other versions differ by some tens of bytes a key.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from memrouter.sizing.allocators import Allocator

LISTPACK_ENTRIES: Final = 128
"""``zset-max-listpack-entries``: up to here a ZSET is one compact block, where its members have up to 64 bytes."""

HASH_LISTPACK_ENTRIES: Final = 512
LISTPACK_VALUE: Final = 64
"""Defaults of ``hash-max-listpack-entries`` and of both ``-max-listpack-value``."""

_BUCKET_BYTES: Final = 64
_BUCKET_SLOTS: Final = 7
_EMBEDDED: Final = 128
_OBJECT: Final = 16 + 8
_HASHTABLE: Final = 88
_ZSET: Final = 16 + 40
_SCORE_BYTES: Final = 8
_LEVEL_CHANCES: Final = (0.75, 0.1875, 0.046875, 0.015625)
"""How many of a skip list's nodes have one level, two, three, or more."""


@dataclass(frozen=True, slots=True)
class Keyspace:
    """One server's way to keep keys.

    Attributes:
        allocator: Whose ``malloc`` it uses.
        hash_listpack_value: Its ``hash-max-listpack-value``: a HASH without a longer value is one compact block.
    """

    allocator: Allocator = Allocator.JEMALLOC
    hash_listpack_value: int = LISTPACK_VALUE

    def key(self, name_bytes: int) -> int:
        """Return the bytes of a key's object with its name, without what it holds."""
        return self.allocator.usable(_OBJECT + 1 + _string(name_bytes))

    def hash(self, name_bytes: int, fields: Mapping[str, int]) -> int:
        """Return the bytes of a HASH with its key.

        Args:
            name_bytes: Of the key.
            fields: Bytes of the value of each field, by name.
        """
        if self.is_compact(fields):
            entries = sum(_listed(len(name)) + _listed(size) for name, size in fields.items())
            return self.key(name_bytes) + self.allocator.usable(7 + entries)
        entries = sum(self._entry(len(name), size) for name, size in fields.items())
        return self.key(name_bytes) + self.allocator.usable(_HASHTABLE) + entries + round(small_table(len(fields)))

    def is_compact(self, fields: Mapping[str, int]) -> bool:
        """Return whether a HASH with values of these sizes is one compact block."""
        return len(fields) <= HASH_LISTPACK_ENTRIES and max(fields.values()) <= self.hash_listpack_value

    def long_value(self, size: int, *, compact: bool) -> int:
        """Return the bytes of a value of more than 128 bytes in a HASH."""
        return _listed(size) if compact else self.allocator.usable(_string(size))

    def zset_member(self, member_bytes: int, size: float, *, score_bytes: int) -> float:
        """Return the bytes of one member of a ZSET.

        Args:
            member_bytes: Of the member.
            size: How many members the ZSET has.
            score_bytes: Of the score as an integer: 1 for 0, 9 for a time.
        """
        if size <= LISTPACK_ENTRIES and member_bytes <= LISTPACK_VALUE:
            return _listed(member_bytes) + score_bytes + 1
        nodes = (
            chance * self.allocator.usable(16 + 16 * levels + 1 + _string(member_bytes))
            for levels, chance in enumerate(_LEVEL_CHANCES, 1)
        )
        return sum(nodes) + slot(size)

    def zset(self, name_bytes: int) -> int:
        """Return the bytes of a ZSET with its key, without its members."""
        return self.key(name_bytes) + self.allocator.usable(_ZSET)

    def _entry(self, name: int, value: int) -> int:
        """Return the bytes of a field: in one piece with its value where both fit 128 bytes."""
        together = 1 + name + 1 + 3 + value + 1
        if together <= _EMBEDDED:
            return self.allocator.usable(together)
        return self.allocator.usable(8 + _string(name)) + self.allocator.usable(_string(value))


def slot(entries: float) -> float:
    """Return the bytes of a large table for each of its entries: buckets of 7, a power of two of them."""
    buckets = 1 << max(0, math.ceil(math.log2(max(1.0, entries / _BUCKET_SLOTS))))
    return _BUCKET_BYTES * (buckets / max(1.0, entries) + _overflow(entries / buckets))


def small_table(entries: int) -> float:
    """Return the bytes of the buckets of a HASH: a power of two, and further ones where one runs over."""
    buckets = 1 << max(0, math.ceil(math.log2(max(1.0, entries / _BUCKET_SLOTS))))
    full = entries / (buckets * _BUCKET_SLOTS)
    return _BUCKET_BYTES * buckets * (1 + max(0.0, full - 0.55))


def _overflow(mean: float) -> float:
    """Return the share of further buckets for each entry where ``mean`` entries fall into a bucket of 7 slots."""
    below = sum(math.exp(-mean) * mean**count / math.factorial(count) for count in range(_BUCKET_SLOTS + 1))
    return (1 - below) / mean


def _string(size: int) -> int:
    """Return the bytes of a string with its header and the NUL behind it."""
    return size + (4 if size < 256 else 6 if size < 65_536 else 10)


def _listed(size: int) -> int:
    """Return the bytes of an entry of a listpack: header, text, and its length again for the way back."""
    header = 1 if size < 64 else 2 if size < 4096 else 5
    return size + header + (1 if size + header < 128 else 2 if size + header < 16_384 else 3)
