"""What goes into the cache comes out bit by bit; whatever else is found there is nothing."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source, Trust
from memrouter.stores import cache_value
from memrouter.stores.base import Capabilities
from memrouter.stores.cache_value import MAX_VALUE_BYTES, HeldAnswer, least_bytes, pack, unpack
from memrouter.stores.query import Candidates
from memrouter.testing.records import NOW, RecordFactory, plain

ALICE = Scope("alice")
DIGEST = "0" * 64
FACTORY = RecordFactory(Capabilities(backend="sqlite", dimension=8, embedding_model="m", exact=True))
FULL = FACTORY.make(
    "I like 🧠 and\x00 ''",
    project_id="apollo",
    type=MemoryType.PROCEDURAL,
    source=Source.API,
    trust=Trust.TOOL,
    importance=0.1,
    last_accessed=NOW,
    expires_at=2**53,
    access_count=7,
    conversation_id="c1",
    turn_index=3,
    role="user",
    pinned=True,
    links=("m1", "m2"),
    history=(HistoryEntry(NOW, Event.CREATED, Actor.ROUTER, rule="turn"), HistoryEntry(NOW, Event.PINNED, Actor.OWNER)),
)
RECORDS = [FACTORY.make(), FULL, FACTORY.make()]
SCOPE = Scope("alice", None)


def answer(*records: MemoryRecord, complete: bool = True, scored: bool = True) -> Candidates:
    scores = [1 / (position + 3) for position in range(len(records))]
    return Candidates(records=records, scores=scores if scored else None, complete=complete, generation=2**62)


def packed(given_answer: Candidates, scope: Scope = SCOPE) -> bytes:
    value = pack(given_answer, scope, digest=DIGEST, read_at=NOW)
    assert value is not None
    return value


def held(given_answer: Candidates) -> HeldAnswer:
    found = unpack(packed(given_answer), SCOPE, digest=DIGEST)
    assert found is not None
    return found


@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_answer_comes_back_as_it_was(number: int, *, complete: bool, scored: bool) -> None:
    before = answer(*RECORDS[:number], complete=complete, scored=scored)
    after = held(before).at(NOW)
    assert after is not None
    assert [plain(record) for record in after.records or ()] == [plain(record) for record in RECORDS[:number]]
    assert after.scores == before.scores
    assert (after.complete, after.generation) == (complete, 2**62)


def test_no_value_holds_a_user_id() -> None:
    record = FACTORY.make(user_id="somebody-with-a-name")
    assert b"somebody" not in packed(answer(record), Scope("somebody-with-a-name"))


def test_a_value_is_of_no_use_under_another_question() -> None:
    assert unpack(packed(answer(*RECORDS)), SCOPE, digest="1" * 64) is None


def test_a_memory_outside_the_scope_is_neither_kept_nor_given() -> None:
    assert pack(answer(FACTORY.make(user_id="bob")), SCOPE, digest=DIGEST, read_at=NOW) is None
    assert pack(answer(FULL), ALICE, digest=DIGEST, read_at=NOW) is None
    assert unpack(packed(answer(FULL)), ALICE, digest=DIGEST) is None, "another project"


def test_what_is_too_large_or_cannot_be_written_is_not_kept() -> None:
    large = [FACTORY.make("x" * 16_000) for _ in range(66)]
    assert least_bytes(answer(*large)) > MAX_VALUE_BYTES
    assert pack(answer(*large), SCOPE, digest=DIGEST, read_at=NOW) is None
    assert pack(answer(FACTORY.make(role="\ud800")), SCOPE, digest=DIGEST, read_at=NOW) is None
    assert pack(answer(FACTORY.make(turn_index=2**64)), SCOPE, digest=DIGEST, read_at=NOW) is None
    mixed = [FACTORY.make(), FACTORY.make(embedding=np.ones(3, np.float32))]
    assert pack(answer(*mixed), SCOPE, digest=DIGEST, read_at=NOW) is None
    other = [FACTORY.make(), FACTORY.make(embedding_model="other")]
    assert pack(answer(*other), SCOPE, digest=DIGEST, read_at=NOW) is None


def test_the_least_size_is_never_above_the_size() -> None:
    assert least_bytes(answer(*RECORDS)) <= len(packed(answer(*RECORDS)))


@given(st.binary(max_size=200))
def test_foreign_bytes_are_nothing(value: bytes) -> None:
    assert unpack(value, SCOPE, digest=DIGEST) is None


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_makes_a_value_nothing(position: int, flip: int) -> None:
    value = bytearray(packed(answer(*RECORDS)))
    value[position % len(value)] ^= flip
    assert unpack(bytes(value), SCOPE, digest=DIGEST) is None


@given(st.integers(min_value=0))
def test_a_cut_value_is_nothing(length: int) -> None:
    value = packed(answer(*RECORDS))
    assert unpack(value[: length % len(value)], SCOPE, digest=DIGEST) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=8),
        max_leaves=20,
    )
)
def test_a_sealed_value_of_another_shape_is_nothing(body: object) -> None:
    payload = msgspec.msgpack.encode(body)
    assert unpack(cache_value._seal(payload, DIGEST) + payload, SCOPE, digest=DIGEST) is None


@pytest.mark.parametrize(
    ("field", "value"), [(3, 9), (3, -8), (3, 0), (5, [0.5]), (7, b""), (7, b"\0" * 97), (6, []), (0, "x"), (0, None)]
)
def test_a_sealed_value_whose_parts_do_not_fit_is_nothing(field: int, value: object) -> None:
    parts = msgspec.msgpack.decode(packed(answer(*RECORDS))[16:])
    parts[field] = value
    payload = msgspec.msgpack.encode(parts)
    assert unpack(cache_value._seal(payload, DIGEST) + payload, SCOPE, digest=DIGEST) is None


def test_what_has_expired_since_is_left_out_of_a_complete_answer() -> None:
    records = [FACTORY.make(), replace(FULL, expires_at=NOW + 10), FACTORY.make()]
    kept = held(answer(*records))
    before, after = kept.at(NOW + 9), kept.at(NOW + 10)
    assert before is not None
    assert after is not None
    assert [record.id for record in before.records or ()] == [record.id for record in records]
    assert [record.id for record in after.records or ()] == [records[0].id, records[2].id]
    assert after.scores == [1 / 3, 1 / 5]
    unscored = held(answer(*records, scored=False)).at(NOW + 10)
    assert unscored is not None
    assert unscored.scores is None


def test_an_incomplete_answer_ends_when_one_of_its_memories_expires() -> None:
    kept = held(answer(FACTORY.make(), replace(FULL, expires_at=NOW + 10), complete=False))
    assert kept.at(NOW + 9) is not None
    assert kept.at(NOW + 10) is None


def test_an_answer_says_nothing_about_the_time_before_it() -> None:
    assert held(answer(*RECORDS)).at(NOW - 1) is None
