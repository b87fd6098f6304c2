"""Two scans side by side give every memory of either once, in order, with its twin beside it."""

from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord, owner_key
from memrouter.stores.base import Capabilities
from memrouter.stores.joined import Pair, joined, same_memory
from memrouter.stores.query import ScanPage
from memrouter.testing.records import NOW, RecordFactory

MAKE = RecordFactory(Capabilities("sqlite", 8, "test-model", exact=True))
NAMES = st.tuples(st.sampled_from(["ada", "bob", "cyd"]), st.integers(0, 3), st.sampled_from(["a", "b", "c"]))


def record(name: tuple[str, int, str]) -> MemoryRecord:
    user_id, created, memory_id = name
    return replace(MAKE.make("text", user_id=user_id), id=memory_id, created_at=NOW + created, updated_at=NOW)


def place(one: MemoryRecord) -> tuple[str, int, str]:
    return owner_key(one.user_id), one.created_at, one.id


async def pages(records: Sequence[MemoryRecord], size: int) -> AsyncIterator[ScanPage]:
    for first in range(0, len(records), size):
        yield ScanPage(records[first : first + size], str(first))


@given(left=st.sets(NAMES), right=st.sets(NAMES), sizes=st.tuples(st.integers(1, 5), st.integers(1, 5)))
async def test_every_memory_of_either_comes_once_and_in_order(
    left: set[tuple[str, int, str]], right: set[tuple[str, int, str]], sizes: tuple[int, int]
) -> None:
    ours = sorted(map(record, left), key=place)
    theirs = sorted(map(record, right), key=place)
    pairs = [pair async for pair in joined(pages(ours, sizes[0]), pages(theirs, sizes[1]))]
    assert [pair.left for pair in pairs if pair.left is not None] == ours
    assert [pair.right for pair in pairs if pair.right is not None] == theirs
    assert len(pairs) == len(left | right)
    places = [place(pair.left or pair.right or MAKE.make()) for pair in pairs]
    assert places == sorted(places)
    assert sum(pair.left is not None and pair.right is not None for pair in pairs) == len(left & right)
    assert all(pair.user_id in ("ada", "bob", "cyd") for pair in pairs)


@pytest.mark.parametrize("field", MemoryRecord.__struct_fields__)
def test_memories_that_differ_in_one_field_are_not_the_same(field: str) -> None:
    one = MAKE.make("text")
    changed: dict[str, object] = {"embedding": -one.embedding, "importance": 0.25, "type": "semantic", "pinned": True}
    changed |= {"links": ("m1",), "history": (HistoryEntry(NOW, Event.CREATED, Actor.ROUTER),)}
    numbers = ("created_at", "updated_at", "last_accessed", "expires_at", "access_count", "turn_index")
    other = replace(one, **{field: changed.get(field, 7 if field in numbers else "other")})  # type: ignore[arg-type] # a field by its name
    assert not same_memory(one, other)
    assert not Pair(one, other).same
    assert same_memory(one, replace(one, embedding=np.array(one.embedding)))


def test_a_memory_of_one_side_alone_is_not_the_same() -> None:
    one = MAKE.make()
    assert Pair(one, one).same
    assert not Pair(one, None).same
    assert not Pair(None, one).same
