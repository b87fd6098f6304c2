"""What allocators hand out."""

import ctypes
import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.sizing.allocators import Allocator

SIZES = st.integers(1, 1 << 24)


@given(st.sampled_from(Allocator), SIZES)
def test_no_less_is_handed_out_than_asked_for_and_little_more(allocator: Allocator, size: int) -> None:
    assert size <= allocator.usable(size) <= max(24, size * 1.25 + 16)


@given(st.sampled_from(Allocator), SIZES, SIZES)
def test_more_never_costs_less(allocator: Allocator, one: int, other: int) -> None:
    least, most = sorted((one, other))
    assert allocator.usable(least) <= allocator.usable(most)


@pytest.mark.parametrize(
    ("size", "handed_out"), [(8, 8), (9, 16), (100, 112), (129, 160), (257, 320), (1030, 1280), (1542, 1792)]
)
def test_jemalloc_has_four_classes_to_a_doubling(size: int, handed_out: int) -> None:
    assert Allocator.JEMALLOC.usable(size) == handed_out


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks this machine's own malloc")
@given(st.integers(1, 60_000))
def test_glibc_is_as_its_own_malloc_says(size: int) -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc_usable_size.argtypes = libc.free.argtypes = [ctypes.c_void_p]
    piece = libc.malloc(ctypes.c_size_t(size))
    usable = libc.malloc_usable_size(piece)
    libc.free(piece)
    assert Allocator.LIBC.usable(size) <= usable <= Allocator.LIBC.usable(size) + 16  # a remainder too small to keep


@pytest.mark.parametrize(("said", "allocator"), [("jemalloc-5.3.0", Allocator.JEMALLOC), ("libc", Allocator.LIBC)])
def test_a_server_names_its_allocator(said: str, allocator: Allocator) -> None:
    assert Allocator.named(said) is allocator
