"""Cursors are opaque to clients and hostile when they come back; a change names one user; lists show what they say."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import InvalidRequest
from memrouter.models.memory import MemoryRecord, MemoryType
from memrouter.stores.base import Capabilities
from memrouter.stores.query import Change, Cursor, Filter, ListQuery
from memrouter.testing.records import NOW, RecordFactory

MAKE = RecordFactory(Capabilities("sqlite", 8, "test-model", exact=True))

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


def test_a_change_of_two_users_memories_is_refused() -> None:
    with pytest.raises(ValueError, match="one user"):
        Change("alice", after=0, put=[MAKE.make(), MAKE.make(user_id="bob")])


def test_a_change_cannot_put_and_remove_the_same_memory() -> None:
    record = MAKE.make()
    with pytest.raises(ValueError, match="put and remove"):
        Change("alice", after=0, put=[record], remove=frozenset({record.id}))
    assert Change("alice", after=0, put=[record], remove=frozenset({"m"})).ids == {record.id, "m"}


PLAIN, SUPERSEDED = MAKE.make(), MAKE.make(superseded_by="m9")
APART, GONE = MAKE.make(quarantine="role"), MAKE.make(quarantine="role", expires_at=NOW)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (ListQuery(limit=1, now=NOW), [PLAIN]),
        (ListQuery(limit=1, now=NOW, include_superseded=True), [PLAIN, SUPERSEDED]),
        (ListQuery(limit=1, now=NOW, quarantined=True), [APART]),
        (ListQuery(limit=1, now=NOW - 1, quarantined=True), [APART, GONE]),
        (ListQuery(limit=1, now=NOW, where=Filter(types=frozenset({MemoryType.SEMANTIC}))), []),
    ],
)
def test_a_list_shows_what_it_is_asked_for(query: ListQuery, shown: list[MemoryRecord]) -> None:
    assert [record for record in (PLAIN, SUPERSEDED, APART, GONE) if query.shows(record)] == shown
