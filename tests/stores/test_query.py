"""Cursors are opaque to clients and hostile when they come back."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import InvalidRequest
from memrouter.stores.query import Cursor

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)


@given(st.builds(Cursor, created_at=st.integers(0, 2**63 - 1), id=IDS))
def test_a_cursor_comes_back_as_it_was_given_out(cursor: Cursor) -> None:
    assert Cursor.decode(cursor.encode()) == cursor


@given(st.text())
def test_any_other_text_is_refused_or_means_one_cursor(text: str) -> None:
    try:
        cursor = Cursor.decode(text)
    except InvalidRequest:
        return
    assert Cursor.decode(cursor.encode()) == cursor


@pytest.mark.parametrize("inner", ["", ":", "5:", "-1:a", "x:a", f"{2**63}:a", f"5:{'a' * 65}"])
def test_a_cursor_out_of_range_is_refused(inner: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor") as caught:
        Cursor.decode(base64.urlsafe_b64encode(inner.encode()).decode())
    assert caught.value.param == "cursor"
