"""Sizes as people write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import InvalidRequest
from memrouter.sizing.quantity import kubernetes, parse_bytes, setting, shown


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4Gi", 4 << 30),
        ("512Mi", 512 << 20),
        ("1.5Gi", 3 << 29),
        ("100mb", 100 << 20),
        ("2G", 2 * 10**9),
        ("1500000", 1_500_000),
        (" 7 k ", 7000),
    ],
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_bytes(text, name="--limit") == size


@pytest.mark.parametrize("text", ["", "0", "4x", "-1Gi", "Gi", "1e9", "1_000", "9999999Ti", "٤Gi", "4 G i"])
def test_what_is_no_size_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match="--limit is"):
        parse_bytes(text, name="--limit")


@given(st.text())
def test_any_text_is_a_size_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert parse_bytes(text, name="--limit") > 0


@given(st.integers(1, 1 << 50))
def test_settings_are_never_smaller_than_the_size(size: int) -> None:
    assert parse_bytes(kubernetes(size), name="x") >= size
    assert parse_bytes(setting(size), name="x") >= size


def test_a_size_is_shown_in_the_unit_that_fits() -> None:
    assert [shown(size) for size in (5, 2048, 3 << 20, 1 << 40)] == ["5 B", "2.0 KiB", "3.0 MiB", "1.0 TiB"]
