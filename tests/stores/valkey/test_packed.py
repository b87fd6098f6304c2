"""Memories as HASHes and back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source, Trust
from memrouter.stores.base import Capabilities
from memrouter.stores.valkey.packed import DIGEST_CHARS, PACKED_FIELDS, PARTS, pack, unpack
from memrouter.stores.valkey.reader import RowReader
from memrouter.stores.valkey.rows import (
    NEVER,
    Row,
    access_count,
    access_entry,
    live_until,
    row_of,
    to_fields,
    to_record,
    twin_digest,
)
from memrouter.testing.records import NOW, RecordFactory, plain

MAKE = RecordFactory(Capabilities("valkey", 8, "m", exact=True))
READER = RowReader(dimension=8, embedding_model="m")
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
TIMES = st.integers(0, 2**53 - 1)
HISTORY = st.builds(
    HistoryEntry,
    TIMES,
    st.sampled_from(Event),
    st.sampled_from(Actor),
    st.none() | WORDS,
    st.none() | WORDS,
)


def fields_of(record: MemoryRecord) -> dict[bytes, bytes]:
    fields = to_fields(record, dimension=8, embedding_model="m")
    return {name.encode(): value if isinstance(value, bytes) else value.encode() for name, value in fields.items()}


def packed_row(record: MemoryRecord) -> Row:
    fields = fields_of(record)
    return [fields[name.encode()] for name in PACKED_FIELDS]


@given(
    st.builds(
        MAKE.make,
        WORDS,
        user_id=st.sampled_from(["alice", "a,b", "用户"]),
        project_id=st.sampled_from(["default", '"x"']),
        type=st.sampled_from(MemoryType),
        source=st.sampled_from(Source),
        trust=st.sampled_from(Trust),
        importance=st.floats(0, 1),
        created_at=TIMES,
        updated_at=TIMES,
        expires_at=st.none() | TIMES,
        conversation_id=st.none() | st.just("") | WORDS,
        turn_index=st.none() | st.integers(0, 10**6),
        role=st.none() | WORDS,
        superseded_by=st.none() | WORDS,
        access_count=st.integers(0, 10**9),
        last_accessed=st.none() | TIMES,
        quarantine=st.none() | WORDS,
        pinned=st.booleans(),
        links=st.lists(WORDS, max_size=3).map(tuple),
        history=st.lists(HISTORY, max_size=3).map(tuple),
    )
)
def test_a_memory_comes_back_from_its_row_as_it_was(record: MemoryRecord) -> None:
    entry = access_entry(record.access_count, record.last_accessed).encode()
    (back,) = READER.read(Scope(record.user_id, None), [packed_row(record)], [entry or None])
    assert plain(back) == plain(record)


@pytest.mark.parametrize("word", ["null", "true", "12", "1.5", 'é\x7f\\/"', "[]"])
def test_a_text_that_looks_like_another_kind_of_value_stays_text(word: str) -> None:
    record = MAKE.make(conversation_id=word, role=word, superseded_by=word, project_id=word, quarantine=word)
    (back,) = READER.read(Scope(record.user_id, None), [packed_row(record)], [None])
    assert plain(back) == plain(record)


def test_a_memory_that_was_read_is_a_frozen_record() -> None:
    (back,) = READER.read(Scope("alice"), [packed_row(MAKE.make())], [None])
    assert type(back) is MemoryRecord
    with pytest.raises(AttributeError, match="immutable"):
        back.content = "x"  # type: ignore[misc] # this is what must fail


def test_the_packed_field_is_an_array_of_strings_and_nulls() -> None:
    plainly = json.loads(pack(MAKE.make(turn_index=3), digest="d" * 32))
    apart = json.loads(pack(MAKE.make(turn_index=3, quarantine="instruction", pinned=True), digest="d" * 32))
    assert len(apart) == len(plainly) == len(PARTS)
    assert apart[PARTS.index("digest")] == "d" * DIGEST_CHARS
    assert all(value is None or isinstance(value, str) for value in (*plainly, *apart))


def test_a_memory_of_an_earlier_version_which_knew_fewer_parts_is_read() -> None:
    earlier = (
        '["m1","alice","default","episodic","conversation","5","6","0.5","direct_user","m",null,null,null,null,null]'
    )
    record = MAKE.make(id="m1", created_at=5, updated_at=6)
    (back,) = READER.read(Scope("alice"), [[earlier.encode(), *packed_row(record)[1:]]], [None])
    assert plain(back) == plain(record)


def test_parts_that_a_later_version_may_add_are_passed_over() -> None:
    record = MAKE.make(pinned=True)
    packed, *rest = packed_row(record)
    assert packed is not None
    (back,) = READER.read(Scope("alice"), [[packed[:-1] + b',"more",null]', *rest]], [None])
    assert plain(back) == plain(record)


@given(
    st.text(max_size=40) | st.sampled_from(["[]", "{}", "[true]", "[1,[],[]]", '[false,[],[["x"]]]', "null", ""]),
)
def test_a_trail_that_somebody_broke_leaves_the_neighbours_as_they_are(trail: str) -> None:
    good = MAKE.make(pinned=True)
    packed, *rest = packed_row(good)
    values = json.loads(packed or b"")
    broken = json.dumps([*values[:-1], trail]).encode()
    found = READER.read(Scope("alice"), [[broken, *rest], packed_row(good)], [None, None])
    assert plain(found[-1]) == plain(good)


@given(
    st.binary(max_size=200) | st.sampled_from([b"1", b"[]", b"[[]]", b'[{},"a"],[1]', b"1,2"]),
    st.binary(max_size=40),
    st.none() | st.binary(max_size=12),
)
def test_a_row_that_somebody_broke_is_left_out_and_its_neighbours_stay(
    packed: bytes, embedding: bytes, access: bytes | None
) -> None:
    good = MAKE.make()
    rows: list[Row | None] = [packed_row(good), [packed, b"text", embedding], None, packed_row(good)]
    found = READER.read(Scope("alice"), rows, [None, access, None, None])
    assert [plain(record) for record in found] == [plain(good)] * 2


def columns_of(rows: list[Row]) -> tuple[bytes, bytes, bytes]:
    """Return what ``SCAN`` makes of rows that are even."""
    packed, contents, vectors = ([row[place] or b"" for row in rows] for place in range(3))
    return b"\xff".join(packed), b"\xff".join(contents), b"".join(vectors)


@given(
    st.lists(
        st.sampled_from([b"[]", b"nonsense", b'["x"]', b"[],[]", b"\xff"])
        | st.builds(lambda text: (text,), WORDS | st.binary(min_size=1, max_size=4))
        | st.builds(MAKE.make, WORDS, user_id=st.sampled_from(["alice", "bob"])),
        max_size=4,
    ),
    st.none() | st.just(b"3:7") | st.binary(max_size=4),
)
async def test_columns_hold_what_their_rows_hold_or_tell_that_one_is_broken(
    made: list[MemoryRecord | tuple[str | bytes] | bytes], access: bytes | None
) -> None:
    good = fields_of(MAKE.make())
    rows: list[Row] = []
    for one in made:
        match one:
            case MemoryRecord():
                rows.append(packed_row(one))
            case (text,):
                content = text.encode() if isinstance(text, str) else text
                rows.append([good[b"record"], content, good[b"embedding"]])
            case bytes(packed):
                rows.append([packed, b"text", good[b"embedding"]])
    entries = [access] * len(rows)
    expected = [plain(one) for one in READER.read(Scope("alice"), rows, entries)]
    try:
        found = await READER.columns(Scope("alice"), *columns_of(rows), entries)
    except ValueError:
        assert access not in (None, b"", b"3:7") or not all(isinstance(one, MemoryRecord) for one in made)
    else:
        assert [plain(record) for record in found] == expected


def test_rows_of_another_owner_are_left_out() -> None:
    rows = [packed_row(MAKE.make(user_id="bob")), packed_row(MAKE.make(project_id="apollo"))]
    assert READER.read(Scope("alice"), rows, [None, None]) == []


@pytest.mark.parametrize("foreign", ["model", "length"])
async def test_vectors_of_another_model_are_told_of_and_left_out_where_the_store_is_still_ours(foreign: str) -> None:
    asked: list[str] = []

    async def told() -> None:
        asked.append(foreign)

    other = RecordFactory(Capabilities("valkey", 8, "other", exact=True)).make()
    strange: Row = [pack(other, digest=twin_digest(other.content)).encode(), b"text", packed_row(MAKE.make())[2]]
    if foreign == "length":
        strange = [*packed_row(MAKE.make())[:2], bytes(16)]
    good = MAKE.make()
    rows = [packed_row(good), strange]
    reader = RowReader(dimension=8, embedding_model="m", on_foreign=told)
    found = [await reader.records(Scope("alice"), rows, [None, None])]
    if foreign == "model":  # rows of uneven length never come as columns
        found.append(await reader.columns(Scope("alice"), *columns_of(rows), [None, None]))
    assert [[plain(record) for record in records] for records in found] == [[plain(good)]] * len(found)
    assert asked == [foreign] * len(found)


def test_a_broken_row_is_an_error_to_unpack() -> None:
    for packed in (b"1", b"[]", b"nonsense", b'["x"]'):
        with pytest.raises(ValueError):
            unpack([packed], [b"text"], b"\0" * 32, [(0, None)], dimension=8)


def test_hidden_memories_live_until_zero_and_others_until_they_expire() -> None:
    hidden = [MAKE.make(superseded_by="m2"), MAKE.make(expires_at=5, quarantine="instruction")]
    shown = [MAKE.make(expires_at=5), MAKE.make()]
    assert [live_until(record) for record in (*hidden, *shown)] == [0, 0, 5, NEVER]


@pytest.mark.parametrize(("count", "last", "entry"), [(0, None, ""), (3, None, "3:"), (0, 7, "0:7"), (2, 9, "2:9")])
def test_access_entries_are_read_as_written(count: int, last: int | None, entry: str) -> None:
    assert access_entry(count, last) == entry
    assert access_count(entry.encode()) == (count, last)


def go_row(**changes: bytes | None) -> Row:
    fields: dict[bytes, bytes | None] = {
        b"id": b"0b7c", b"user_id": b"alice", b"project_id": b"default", b"memory_type": b"semantic",
        b"content": b"likes tea", b"source": b"conversation", b"embedding": MAKE.vector("tea").tobytes(),
        b"created_at": str(NOW).encode(), b"updated_at": str(NOW + 1).encode(), b"access_count": b"4",
        b"importance": b"0.7", b"metadata": json.dumps({"last_accessed": NOW // 1000}).encode(),
    }  # fmt: skip
    given = fields | {name.encode(): value for name, value in changes.items()}
    return row_of({name: value for name, value in given.items() if value is not None})


def test_a_row_of_the_go_router_is_read_with_its_counts_and_metadata() -> None:
    record = to_record(go_row(), None, dimension=8, embedding_model="m")
    assert record is not None
    assert (record.id, record.type, record.source, record.importance) == (
        "0b7c",
        MemoryType.SEMANTIC,
        "conversation",
        0.7,
    )
    assert (record.access_count, record.last_accessed, record.created_at) == (4, NOW // 1000 * 1000, NOW)
    counted = to_record(go_row(), b"9:5", dimension=8, embedding_model="m")
    assert counted is not None
    assert (counted.access_count, counted.last_accessed) == (9, 5)


def test_a_vector_of_the_go_router_is_normalised() -> None:
    long = (MAKE.vector("tea") * 3).tobytes()
    record = to_record(go_row(embedding=long), None, dimension=8, embedding_model="m")
    assert record is not None
    assert float(record.embedding @ MAKE.vector("tea")) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    "broken",
    [
        {"embedding": b"\0" * 32}, {"embedding": b"short"}, {"content": None}, {"content": b"\xff"}, {"id": None},
        {"user_id": None}, {"created_at": b"yesterday"}, {"embedding": b"\xff" * 32}, {"access_count": b"many"},
    ],
)  # fmt: skip
def test_what_cannot_be_a_memory_is_left_out(broken: dict[str, bytes | None]) -> None:
    assert to_record(go_row(**broken), None, dimension=8, embedding_model="m") is None


@pytest.mark.parametrize(
    "metadata", [b"", b"[]", b"{broken", b'{"importance": "high", "last_accessed": "never"}', None]
)
def test_unreadable_metadata_is_as_if_absent(metadata: bytes | None) -> None:
    record = to_record(go_row(metadata=metadata, importance=None), None, dimension=8, embedding_model="m")
    assert record is not None
    assert (record.importance, record.last_accessed) == (0.5, None)
