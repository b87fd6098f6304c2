"""Fields of bodies that are handed on."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.api.json_fields import MAX_DEPTH, object_of, typed
from memrouter.errors import InvalidRequest


def nested(depth: int) -> bytes:
    return b'{"x":' + b"[" * depth + b"]" * depth + b"}"


def test_an_object_is_read() -> None:
    assert object_of(b'{"a": 123456789012345678901234567890}') == {"a": 123456789012345678901234567890}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_type"),
        (b"7", "invalid_type"),
        (b'{"a": "\xff"}', "invalid_encoding"),
        (b'{"a": "\\ud800"}', "invalid_json"),
        (b'{"a": 1e999}', "invalid_json"),
        (b'{"a": NaN}', "invalid_json"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (nested(MAX_DEPTH), "invalid_json"),
        (nested(900), "invalid_json"),
    ],
)
def test_what_is_no_object_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        object_of(body)
    assert (refused.value.code, refused.value.param) == (code, "body")


def test_depth_up_to_the_limit_is_taken() -> None:
    assert object_of(nested(MAX_DEPTH - 1))


@given(st.binary(max_size=100))
def test_no_bytes_make_it_fail_otherwise(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        object_of(body)


@pytest.mark.parametrize(
    ("value", "kind"), [("a", str), (True, bool), (0, int), ({}, dict), ([], list), (None, str), (None, int)]
)
def test_a_field_of_its_type_is_returned(value: Any, kind: type) -> None:
    assert typed({"a": value}, "a", kind) is value


@pytest.mark.parametrize(("value", "kind"), [(1, str), (1, bool), (True, int), (1.0, int), ([], dict), ("a", list)])
def test_a_field_of_another_type_is_refused_by_its_path(value: Any, kind: type) -> None:
    with pytest.raises(InvalidRequest, match=r"b\.a: must be") as refused:
        typed({"a": value}, "a", kind, "b.")
    assert refused.value.param == "b.a"
