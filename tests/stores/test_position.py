"""A position in a scan comes back as it was, and nothing else passes for one."""

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import InvalidRequest
from memrouter.models.memory import owner_key
from memrouter.stores.position import Position
from memrouter.testing.record_strategies import identities, memory_ids

TIMES = st.integers(-(2**63), 2**63 - 1)


def opaque(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@given(identities(), TIMES, memory_ids())
def test_a_position_survives_its_opaque_form(user: str, created_at: int, memory_id: str) -> None:
    position = Position(owner_key(user), created_at, memory_id)
    assert Position.decode(position.encode(backend="sqlite"), backend="sqlite") == position


@given(identities(), TIMES, memory_ids())
def test_a_position_of_another_kind_of_store_is_refused(user: str, created_at: int, memory_id: str) -> None:
    text = Position(owner_key(user), created_at, memory_id).encode(backend="sqlite")
    with pytest.raises(InvalidRequest, match="valkey store gave out"):
        Position.decode(text, backend="valkey")


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Position.decode(text, backend="sqlite")


OWNER = owner_key("alice")


@pytest.mark.parametrize(
    "text",
    [
        f"sqlite:{OWNER}:1:",
        f"sqlite:{OWNER}:1:{'x' * 65}",
        f"sqlite:{OWNER}::m1",
        f"sqlite:{OWNER}: 1:m1",
        f"sqlite:{OWNER}:1_0:m1",
        f"sqlite:{OWNER}:{2**63}:m1",
        f"sqlite:{OWNER}:{-(2**63) - 1}:m1",
        f"sqlite:{OWNER}:{'9' * 5000}:m1",
        f"sqlite:{OWNER[:-1]}:1:m1",
        f"sqlite:{OWNER.upper()}:1:m1",
        f"{OWNER}:1:m1",
    ],
)
def test_a_position_with_a_part_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Position.decode(opaque(text), backend="sqlite")


def test_positions_are_ordered_as_scans_go() -> None:
    ordered = [
        Position("a" * 32, 1, "m2"),
        Position("a" * 32, 2, "m1"),
        Position("a" * 32, 2, "m10"),
        Position("a" * 32, 2, "m2"),
        Position("b" * 32, 0, "m1"),
    ]
    assert all(earlier < later for earlier, later in pairwise(ordered))
