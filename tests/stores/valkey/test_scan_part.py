"""Two views of one owner's memories become one, no further than both reach."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from memrouter.models.memory import MemoryRecord
from memrouter.stores.base import Capabilities
from memrouter.stores.position import Position
from memrouter.stores.valkey.scan_part import Part
from memrouter.testing.records import RecordFactory

MAKE = RecordFactory(Capabilities("valkey", 4, "test-model", exact=True))
OWNER = "0" * 32
AGES = st.tuples(st.integers(0, 3), st.sampled_from("abcdef"))


def record(age: tuple[int, str]) -> MemoryRecord:
    return MAKE.make(id=age[1] + str(age[0]), created_at=age[0])


def part(ages: Sequence[tuple[int, str]], start: Position | None, size: int) -> Part:
    """Return what a source that holds these memories gives."""
    held = sorted(map(record, ages), key=lambda found: (found.created_at, found.id))
    left = [one for one in held if start is None or (one.created_at, one.id) > (start.created_at, start.id)]
    end = Position(OWNER, left[:size][-1].created_at, left[:size][-1].id) if left else None
    return Part(left[:size], end, more=len(left) >= size)


@given(st.sets(AGES), st.sets(AGES), st.integers(1, 4), st.integers(1, 4))
def test_joined_parts_give_everything_once_in_order(
    first: set[tuple[int, str]], second: set[tuple[int, str]], one: int, two: int
) -> None:
    found: list[MemoryRecord] = []
    start: Position | None = None
    more = True
    while more:
        both = part(sorted(first), start, one).joined(part(sorted(second), start, two))
        found += both.records
        start, more = both.end or start, both.more
    expected = sorted((age, letter + str(age)) for age, letter in first | second)
    assert [(memory.created_at, memory.id) for memory in found] == expected


def test_of_a_memory_in_both_the_other_ones_form_is_taken() -> None:
    old, new = record((1, "a")), record((1, "a"))
    end = Position(OWNER, 1, old.id)
    joined = Part([old], end, more=False).joined(Part([new], end, more=False))
    assert list(joined.records) == [new]
    assert (joined.end, joined.more) == (end, False)
