"""What the entities of one entry say together, without a server."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.stores.milvus.facts import CLAIM, REMOVED, VALUE, Fact, Slot, encoded, fact_key, fact_of, slots_of
from memrouter.stores.milvus.rows import NEVER
from memrouter.stores.state import MAX_NAME_CHARS, MAX_STATE_BYTES

names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=MAX_NAME_CHARS)


def fact(version: int, *, kind: str = VALUE, name: str = "key", expires_at: int = NEVER, nonce: str = "") -> Fact:
    return Fact(f"{version}{kind}{nonce}", "space", name, kind, version, expires_at, encoded(f"v{version}".encode()))


@given(
    space=names, name=names, value=st.binary(max_size=200), version=st.integers(0, 2**53), expiry=st.integers(0, NEVER)
)
def test_an_entry_comes_back_from_its_entity_as_it_was(
    space: str, name: str, value: bytes, version: int, expiry: int
) -> None:
    written = Fact(fact_key(space, name, "0" * 16), space, name, VALUE, version, expiry, encoded(value))
    row = written.row()
    assert fact_of(row) == written
    assert fact_of({field: row[field] for field in row if field != "text"}) == replace(written, text="")
    entry = written.entry()
    assert (entry.key, entry.value, entry.version) == (name, value, version)
    assert entry.expires_at == (None if expiry == NEVER else expiry)
    assert len(written.key) <= 64


def test_the_largest_value_fits_a_text_field() -> None:
    assert len(encoded(b"\xff" * MAX_STATE_BYTES)) <= 65_535


@given(st.permutations([fact(1), fact(2, kind=REMOVED), fact(3), fact(9, kind=CLAIM)]))
def test_the_highest_version_stands_in_whatever_order_they_are_met(facts: list[Fact]) -> None:
    slot = slots_of(facts)["space", "key"]
    assert (slot.newest, slot.held, slot.basis) == (fact(3), fact(3), 3)
    assert [claim.version for claim in slot.claims] == [9]


def test_a_removal_and_an_expiry_hide_what_is_below_them() -> None:
    removed = Slot([fact(1), fact(2, kind=REMOVED)])
    assert (removed.held, removed.living(0), removed.basis) == (None, None, 2)
    expired = Slot([fact(1), fact(2, expires_at=50)])
    assert expired.living(49) == fact(2, expires_at=50)
    assert expired.living(50) is None
    assert (Slot().held, Slot().basis) == (None, 0)


@pytest.mark.parametrize(
    ("slot", "going"),
    [
        (Slot([fact(1), fact(2)]), [1]),
        (Slot([fact(2, kind=REMOVED, expires_at=10), fact(1)]), [1, 2]),
        (Slot([fact(2, expires_at=10), fact(1)]), [1, 2]),
        (Slot([fact(1, expires_at=10), fact(2)]), [1]),
        (Slot([fact(2, expires_at=100), fact(1)]), [1]),
        (Slot([], [fact(7, kind=CLAIM, expires_at=10), fact(8, kind=CLAIM, expires_at=100)]), [7]),
    ],
)
def test_what_stands_goes_last_and_only_when_it_is_over(slot: Slot, going: list[int]) -> None:
    assert [int(key[0]) for key in slot.over(50)] == going
