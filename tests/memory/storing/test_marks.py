from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.storing.marks import LIFE_MS, Erased, ErasureMarks
from memrouter.models.memory import MemoryRecord, MemoryType, Scope
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import HOSTILE_IDENTITIES, NOW, RecordFactory

from ..gates import ANNA, open_store

SEMANTIC = frozenset({MemoryType.SEMANTIC})


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def records(store: SqliteStore) -> list[MemoryRecord]:
    make = RecordFactory(store.capabilities).make
    return [
        make(user_id="anna", id="plain"),
        make(user_id="anna", id="fact", type=MemoryType.SEMANTIC),
        make(user_id="anna", id="chat", conversation_id="c1"),
        make(user_id="anna", id="work", project_id="work", conversation_id="c1"),
    ]


@pytest.mark.parametrize(
    ("erased", "covered"),
    [
        (Erased(ANNA), {"plain", "fact", "chat"}),
        (Erased(Scope("anna", None)), {"plain", "fact", "chat", "work"}),
        (Erased(ANNA, SEMANTIC), {"fact"}),
        (Erased(ANNA, conversation_id="c1"), {"chat"}),
        (Erased(Scope("anna", None), conversation_id="c1"), {"chat", "work"}),
        (Erased(ANNA, ids=frozenset({"plain", "gone"})), {"plain"}),
        (Erased(Scope("Anna", None)), set()),
        (Erased(Scope("anna", "*")), set()),
    ],
)
async def test_a_deletion_covers_what_began_before_it_and_nothing_else(
    store: SqliteStore, records: list[MemoryRecord], erased: Erased, covered: set[str]
) -> None:
    marks = ErasureMarks(store.state)
    await marks.note(erased, now=NOW)
    assert await marks.covered("anna", records, begun_at=NOW - 5, now=NOW + 1) == covered
    assert await marks.covered("anna", records, begun_at=NOW, now=NOW + 1) == covered
    assert await marks.covered("anna", records, begun_at=NOW + 1, now=NOW + 1) == set()
    assert await marks.covered("anna", records, begun_at=NOW, now=NOW + LIFE_MS) == set()


async def test_a_later_deletion_does_not_hide_an_earlier_one(store: SqliteStore, records: list[MemoryRecord]) -> None:
    marks = ErasureMarks(store.state)
    await marks.note(Erased(ANNA, SEMANTIC), now=NOW)
    await marks.note(Erased(ANNA, ids=frozenset({"plain"})), now=NOW + 10)
    assert await marks.covered("anna", records, begun_at=NOW, now=NOW + 20) == {"fact", "plain"}
    assert await marks.covered("anna", records, begun_at=NOW + 5, now=NOW + 20) == {"plain"}


NAMES = st.sampled_from(HOSTILE_IDENTITIES) | st.text(min_size=1, max_size=8)


@given(NAMES, NAMES)
def test_any_two_names_have_marks_of_their_own(one: str, other: str) -> None:
    keys = [Erased(ANNA, conversation_id=name).keys() for name in (one, other)]
    assert (keys[0] == keys[1]) is (one == other)
    assert all(key.isascii() and key.isprintable() and len(key) <= 200 for key in keys[0])
