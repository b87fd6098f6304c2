"""What most memories do not have is kept in one text, and in none where there is nothing."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from memrouter.models.memory import MemoryRecord
from memrouter.stores.base import Capabilities
from memrouter.stores.trail import trail_of, with_trail
from memrouter.testing.record_strategies import memories
from memrouter.testing.records import RecordFactory, plain

ABOUT = Capabilities("sqlite", 8, "test-model", exact=True)
BARE = RecordFactory(ABOUT).make()


@given(memories(ABOUT))
def test_a_trail_comes_back_whole(record: MemoryRecord) -> None:
    without = replace(record, pinned=False, links=(), history=())
    assert plain(with_trail(without, trail_of(record))) == plain(record)


def test_a_memory_without_any_has_none() -> None:
    assert trail_of(BARE) is None
    for nothing in (None, "", b""):
        assert plain(with_trail(BARE, nothing)) == plain(BARE)


@given(st.text(min_size=1, max_size=40) | st.binary(min_size=1, max_size=40))
def test_any_other_text_is_one_kind_of_error(text: str | bytes) -> None:
    try:
        with_trail(BARE, text)
    except ValueError:
        return


@pytest.mark.parametrize(
    "text", ["{}", "[]", "[1, [], []]", '[true, [], [[1, "created", "nobody"]]]', "[true, [5], []]"]
)
def test_a_trail_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        with_trail(BARE, text)
