from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import InvalidRequest
from memrouter.memory.storing.drafts import (
    MemoryDraft,
    MemoryEdit,
    check_content,
    check_draft,
    check_edit,
    storable_text,
)
from memrouter.models.memory import MAX_CONTENT_BYTES

NOW = 1_767_225_600_000


def test_content_is_kept_but_for_its_ends_and_line_ends() -> None:
    assert check_content("  a\tb\r\nc \n") == "a\tb\nc"


@pytest.mark.parametrize("text", ["", " \n\t", "a\x00b", "a\x1bb", "a\rb", "a\x7fb", "a\x85b", "\ud800", "x" * 16_385])
def test_content_that_cannot_be_stored_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_content(text)
    assert caught.value.param == "content"


def test_the_size_of_a_content_counts_in_bytes_after_trimming() -> None:
    assert len(check_content(" " + "é" * (MAX_CONTENT_BYTES // 2) + " ")) == MAX_CONTENT_BYTES // 2
    with pytest.raises(InvalidRequest, match="16386 bytes"):
        check_content("é" * (MAX_CONTENT_BYTES // 2 + 1))


def test_a_refusal_does_not_quote_the_content() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_content("my secret\x00")
    assert "secret" not in str(caught.value)


@given(st.text(st.characters()))
def test_storable_text_passes_the_check_or_is_empty(text: str) -> None:
    clean = storable_text(text)
    assert not clean or check_content(clean) == clean
    assert storable_text(clean) == clean


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("importance", -0.1),
        ("importance", 1.1),
        ("importance", float("nan")),
        ("expires_at", NOW),
        ("expires_at", 2**63),
        ("expires_at", -1),
        ("created_at", -1),
        ("created_at", 2**63),
        ("turn_index", -1),
        ("turn_index", 2**31),
        ("conversation_id", ""),
        ("conversation_id", "c" * 257),
        ("conversation_id", "a\x00"),
        ("role", "r\n"),
    ],
)
def test_a_draft_out_of_range_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_draft(MemoryDraft("x", **{field: value}), now=NOW)
    assert caught.value.param == field


def test_a_draft_at_the_edges_is_taken() -> None:
    check_draft(MemoryDraft("x"), now=NOW)
    check_draft(MemoryDraft("x", importance=0, created_at=0, expires_at=NOW + 1, turn_index=0, role="user"), now=NOW)


@pytest.mark.parametrize(
    ("edit", "param"),
    [(MemoryEdit(), "body"), (MemoryEdit(importance=2), "importance"), (MemoryEdit(expires_at=NOW), "expires_at")],
)
def test_an_edit_out_of_range_is_refused_by_name(edit: MemoryEdit, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_edit(edit, now=NOW)
    assert caught.value.param == param
