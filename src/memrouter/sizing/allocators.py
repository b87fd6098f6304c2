"""What an allocator hands out for a request: never just what was asked for."""

from enum import StrEnum
from typing import Final

_CACHE_LINE: Final = 16
_LEAST_GLIBC: Final = 24
_HEADER: Final = 8


class Allocator(StrEnum):
    """Whose ``malloc`` a server uses; ``mem_allocator`` of its INFO says it. Official Valkey builds use jemalloc."""

    JEMALLOC = "jemalloc"
    LIBC = "libc"

    @classmethod
    def named(cls, text: str) -> "Allocator":
        """Return the allocator behind the server's own name for it, such as ``jemalloc-5.3.0`` or ``libc``."""
        return cls.LIBC if text.startswith("libc") else cls.JEMALLOC

    def usable(self, size: int) -> int:
        """Return the bytes that the server counts for an allocation of ``size`` bytes."""
        return _glibc(size) if self is Allocator.LIBC else _jemalloc(size)


def _glibc(size: int) -> int:
    """Chunks are multiples of 16 bytes with a header of 8, which ``malloc_usable_size`` leaves out."""
    return max(_LEAST_GLIBC, -(-(size + _HEADER) // _CACHE_LINE) * _CACHE_LINE - _HEADER)


def _jemalloc(size: int) -> int:
    """Four size classes to each doubling, from 8 and multiples of 16 up to 128 on."""
    if size <= _HEADER:
        return _HEADER
    if size <= 128:
        return -(-size // _CACHE_LINE) * _CACHE_LINE
    step = 1 << ((size - 1).bit_length() - 3)
    return -(-size // step) * step
