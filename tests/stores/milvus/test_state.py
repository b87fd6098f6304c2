"""Entities and what they say together, without a server."""

import json
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import InvalidRequest
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord, Trust
from memrouter.stores.base import Capabilities
from memrouter.stores.milvus.connection import Row
from memrouter.stores.milvus.creation import doubles, sort_out
from memrouter.stores.milvus.expressions import ACCESS, GENERATION, GONE, OPEN, quoted, storable
from memrouter.stores.milvus.rows import Held, held_in, memory_row, meta_row, new_key
from memrouter.stores.milvus.schema import Layout
from memrouter.stores.milvus.state import OwnerState, bucket_of, resolve
from memrouter.testing.records import NOW, RecordFactory, plain

SIZES = {"key": 512, "id": 256, "user_id": 1024, "project_id": 1024, "content": 65535, "metadata": 65535}
OWN = Layout(own=True, dimension=4, sizes=SIZES, exact=True, metric="COSINE")
GO = replace(OWN, own=False, sizes={"id": 64, "user_id": 256, "content": 65535, "metadata": 65535})
MAKE = RecordFactory(Capabilities("milvus", 4, "m", exact=True))


def entity(record: MemoryRecord, *, version: int, birth: str = "b", change: int, layout: Layout = OWN) -> Row:
    nonce = f"{version:016x}"
    key = new_key(record.id, record.user_id, nonce, layout)
    return memory_row(Held(record, key, birth, version, nonce, change), layout)


def said(kind: str, content: object, nonce: str) -> Row:
    return meta_row("alice", kind, nonce, content, layout=OWN, now=NOW)


def state(rows: Sequence[Row], layout: Layout = OWN) -> OwnerState:
    return resolve(rows, ["alice"], layout, embedding_model="m")["alice"]


@pytest.mark.parametrize("layout", [OWN, GO], ids=["own", "go"])
def test_a_memory_comes_back_from_its_entity_as_it_was(layout: Layout) -> None:
    record = MAKE.make(
        "tea 🧠",
        trust=Trust.TOOL,
        importance=0.1,
        expires_at=NOW + 5,
        conversation_id="",
        turn_index=0,
        access_count=2,
        quarantine="instruction",
        pinned=True,
        links=("m1", "m2"),
        history=(HistoryEntry(NOW, Event.CREATED, Actor.ROUTER, rule='"turn"', ref="c1"),),
    )
    held = held_in(entity(record, version=3, change=9, layout=layout), layout, embedding_model="m")
    assert held is not None
    assert plain(held.record) == plain(record)
    assert (held.birth, held.version, held.change) == ("b", 3, 9)


@pytest.mark.parametrize("hidden", [{"quarantine": "role"}, {"superseded_by": "m9"}])
def test_the_server_counts_a_hidden_memory_as_over(hidden: dict[str, str]) -> None:
    assert entity(MAKE.make(expires_at=NOW + 5), version=1, change=1)["live_until"] == NOW + 5
    assert entity(MAKE.make(expires_at=NOW + 5, **hidden), version=1, change=1)["live_until"] == 0


def test_a_memory_with_a_broken_trail_is_none() -> None:
    row = entity(MAKE.make(pinned=True), version=1, change=1)
    said = json.loads(row["metadata"])
    said["memrouter"]["trail"] = "[1]"
    assert state([row]).memories
    assert not state([row | {"metadata": json.dumps(said)}]).memories


@given(st.data())
def test_what_is_left_of_older_versions_changes_nothing(data: st.DataObject) -> None:
    first = MAKE.make("first")
    versions = [
        entity(msgspec.structs.replace(first, content=f"text {number}"), version=number, change=number)
        for number in (1, 2, 3)
    ]
    told = [said(GENERATION, [number << 20, 1], str(number)) for number in (1, 2, 3)]
    left = data.draw(st.lists(st.sampled_from([*versions[:2], *told[:2]]), max_size=6))
    found = state(data.draw(st.permutations([*left, versions[2], told[2]])))
    assert [held.record.content for held in found.memories.values()] == ["text 3"]
    assert set(found.garbage) == {row["key"] for row in left if row["memory_type"] == "episodic"}
    assert found.generation >> 20 == 3


@given(st.permutations(range(4)))
def test_a_deletion_hides_every_version_whenever_it_is_seen(order: list[int]) -> None:
    record, other = MAKE.make(), MAKE.make()
    rows = [
        entity(record, version=1, change=1),
        entity(record, version=7, change=2),
        entity(other, version=1, change=1),
        said(GONE, {"change": 3, "gone": [(record.id, "b")]}, "g"),
    ]
    found = state([rows[index] for index in order])
    assert list(found.memories) == [other.id]
    assert len(found.garbage) == 2
    born_anew = entity(record, version=1, birth="another", change=4)
    assert set(state([*rows, born_anew]).memories) == {record.id, other.id}


def test_two_changes_at_once_both_show_in_the_generation() -> None:
    one, other = said(GENERATION, [(5 << 20) + 11, 0], "1"), said(GENERATION, [(5 << 20) + 7, 0], "2")
    assert len({state(rows).generation for rows in ([one], [other], [one, other])}) == 3
    assert state([one, other]).following == 6 << 20
    assert state([]).generation == 0


def test_a_generation_stays_the_same_when_what_tells_of_older_changes_goes() -> None:
    numbers = [(5 << 20) + 11, (6 << 20) + 7, (6 << 20) + 3, (7 << 20) + 5]
    first = said(GENERATION, [numbers[0], 0], "1")
    second, rival = (said(GENERATION, [number, 0, numbers[0]], str(number)) for number in numbers[1:3])
    third = said(GENERATION, [numbers[3], 0, *numbers[:3]], "4")
    assert state([first, second]).generation == state([second]).generation == numbers[1]
    both = state([first, second, rival]).generation
    assert both == state([second, rival]).generation
    assert both not in numbers
    for rows in ([third], [first, third], [first, second, rival, third]):
        assert state(rows).generation == numbers[3]


def test_a_change_that_may_be_taken_back_is_known_by_its_mark() -> None:
    mark = said(OPEN, 7, "m")
    assert state([entity(MAKE.make(), version=1, change=1), mark]).marks == [mark["key"]]
    assert state([mark | {"user_id": "~another"}]).marks == []


def test_a_change_of_which_a_part_is_missing_is_torn() -> None:
    rows = [entity(MAKE.make(), version=1, change=1 << 20) for _ in range(2)]
    told = said(GENERATION, [1 << 20, 2], "1")
    assert not state([*rows, told]).torn
    assert state([rows[0], told]).torn
    assert state([told]).torn
    assert state(rows).torn
    assert [state(seen).ahead for seen in (rows, [rows[0]], [told], [rows[0], told])] == [True, True, False, False]


def test_of_two_changes_at_once_one_may_be_seen_before_it_is_told_of() -> None:
    first, second, next_one = 1 << 20 | 5, 1 << 20 | 9, 2 << 20 | 1
    rows = [entity(MAKE.make(), version=1, change=change) for change in (first, second)]
    both_told = [said(GENERATION, [number, 1], str(number)) for number in (first, second)]
    assert not state([*rows, *both_told]).torn
    for told in both_told:
        assert state([*rows, told]).torn
    later = [entity(MAKE.make(), version=1, change=next_one), said(GENERATION, [next_one, 1, first, second], "3")]
    assert not state([*rows, *later]).torn
    last = [entity(MAKE.make(), version=1, change=3 << 20), said(GENERATION, [3 << 20, 1, next_one], "4")]
    assert not state([*rows, later[0], *last]).torn  # what told of the first two is gone


def test_counts_are_those_of_the_memory_that_stands_and_the_greater_of_two() -> None:
    record = MAKE.make(access_count=1)
    name, bucket = record.id, bucket_of(record.id)
    rows = [entity(record, version=1, change=1)]
    for number, entry in enumerate([("b", 5, NOW), ("b", 4, NOW + 9), ("older", 70, NOW + 99)]):
        rows.append(said(ACCESS, {"bucket": bucket, "counts": {name: entry}}, f"a{number}"))
    found = state(rows[:3])
    assert [(memory.access_count, memory.last_accessed) for memory in found.records()] == [(5, NOW + 9)]
    assert len(found.buckets[bucket]) == 2
    assert [memory.access_count for memory in state([rows[0], rows[3]]).records()] == [1]


def test_entities_of_others_and_broken_ones_say_nothing() -> None:
    mine = entity(MAKE.make(), version=1, change=1)
    rows = [
        entity(MAKE.make(user_id="bob"), version=1, change=1),
        mine | {"key": "k1", "metadata": json.dumps({"memrouter": {"version": "x"}})},
        mine | {"key": "k2", "metadata": json.dumps({"memrouter": {"trust": "nobody"}})},
        said(GENERATION, [1 << 20, 0], "1") | {"user_id": "~another"},
    ]
    found = state(rows)
    assert (found.memories, found.generation) == ({}, 0)
    assert list(state([mine | {"metadata": "not json"}]).memories) == [mine["id"]]


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))))
def test_a_literal_stands_for_its_text_and_ends_where_it_should(text: str) -> None:
    assert json.loads(quoted(text)) == text


def test_what_does_not_fit_a_collection_is_refused_with_the_field() -> None:
    with pytest.raises(InvalidRequest, match="user_id has 300 bytes; this collection keeps at most 256"):
        entity(MAKE.make(user_id="x" * 300), version=1, change=1, layout=GO)
    assert len(new_key("é" * 60, "u", "0" * 16, GO).encode()) <= 64
    assert [storable(name) for name in ("", "a\0", "\ud800", "x" * 65, "x" * 64)] == [False] * 4 + [True]


def test_of_two_equal_contents_the_lesser_id_stays_whoever_looks() -> None:
    older, newer, elsewhere = MAKE.make("tea"), MAKE.make("TEA"), MAKE.make("tea", project_id="apollo")
    found = state([entity(record, version=1, change=1) for record in (older, newer, elsewhere)])
    assert doubles([older], found) == doubles([newer], found) == {newer.id: older.id}


def test_an_id_that_exists_takes_all_of_its_owners_records_with_it() -> None:
    old, fresh = MAKE.make(), MAKE.make()
    outcome = sort_out([fresh, old], state([entity(old, version=1, change=1)]), unique_content=False)
    assert (outcome.added, outcome.taken) == ([], [old.id])
