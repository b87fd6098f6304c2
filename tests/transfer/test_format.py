"""One line of the data format."""

import json
import re
import struct
from base64 import b64encode
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from memrouter.errors import InvalidRequest
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord
from memrouter.testing.record_strategies import memories
from memrouter.testing.records import HOSTILE_IDENTITIES, plain
from memrouter.transfer.format import (
    CARRIED,
    MAX_LINE_BYTES,
    MAX_LINKS,
    MemoryLine,
    Trailer,
    decode,
    encode,
    json_schema,
    version_of,
)

from .samples import ABOUT, DIMENSION, factory, manifest, objects

SCHEMA = jsonschema.Draft202012Validator(json.loads(json_schema()))
SECRET = "the-word-that-must-not-leak"
RECORD = factory().make(
    "likes tea", last_accessed=5, expires_at=6, conversation_id="c", turn_index=7, role="user", superseded_by="m2",
    quarantine="instruction", pinned=True, links=("m3",),
    history=(HistoryEntry(8, Event.CREATED, Actor.ROUTER, rule="turn", ref="c"),),
)  # fmt: skip
HAPPENING: dict[str, Any] = {"at": 8, "event": "created", "actor": "router"}


def line_of(**changes: Any) -> bytes:
    """Return a memory's line with other values; ``...`` takes a field away."""
    values = objects(encode(MemoryLine.of(RECORD, vectors=True)))[0] | changes
    return json.dumps({name: value for name, value in values.items() if value is not ...}).encode()


class NotAMemory(Exception):
    pass


def back(raw: bytes) -> MemoryRecord:
    line = decode(raw)
    if not isinstance(line, MemoryLine):
        raise NotAMemory
    return line.record(dimension=DIMENSION)


@given(memories(ABOUT))
def test_a_record_comes_back_from_its_line_bit_by_bit(record: MemoryRecord) -> None:
    raw = encode(MemoryLine.of(record, vectors=True))
    assert raw.count(b"\n") == 1
    assert plain(back(raw)) == plain(record)
    assert encode(MemoryLine.of(back(raw), vectors=True)) == raw


@given(memories(ABOUT))
def test_every_line_that_is_written_is_one_of_the_schema(record: MemoryRecord) -> None:
    for vectors in (True, False):
        SCHEMA.validate(json.loads(encode(MemoryLine.of(record, vectors=vectors))))


@pytest.mark.parametrize("name", HOSTILE_IDENTITIES, ids=ascii)
def test_names_are_kept_code_point_by_code_point(name: str) -> None:
    record = replace(RECORD, user_id=name, project_id=name)
    found = back(encode(MemoryLine.of(record, vectors=True)))
    assert (found.user_id, found.project_id) == (name, name)


def test_the_schema_knows_manifest_and_trailer() -> None:
    SCHEMA.validate(json.loads(encode(manifest(count=3))))
    SCHEMA.validate(json.loads(encode(manifest())))
    SCHEMA.validate(json.loads(encode(Trailer(count=1, sha256="0" * 64))))


def test_what_version_1_did_not_have_may_be_left_out() -> None:
    bare = replace(RECORD, quarantine=None, pinned=False, links=(), history=())
    assert plain(back(line_of(quarantine=..., pinned=..., links=..., history=...))) == plain(bare)
    assert back(line_of(history=[HAPPENING])).history == (HistoryEntry(8, Event.CREATED, Actor.ROUTER),)


def test_without_vectors_a_record_waits_for_one() -> None:
    assert back(encode(MemoryLine.of(RECORD, vectors=False))).embedding.size == 0
    assert back(line_of(embedding=...)).embedding.size == 0


def test_the_largest_memory_fits_a_line() -> None:
    wide = "\U0001f9e0" * 256
    content = "\x01" * 16_384
    record = replace(
        RECORD, content=content, user_id=wide, project_id=wide, conversation_id=wide, role=wide, quarantine=wide,
        id="x" * 64, links=(wide[:64],) * (MAX_LINKS + 1),
        history=(HistoryEntry(8, Event.CONSOLIDATED, Actor.CONSOLIDATION, rule=wide[:200], ref=wide),) * 65,
    )  # fmt: skip
    vector = struct.pack("<32768f", 1.0, *([0.0] * 32_767))
    line = replace(MemoryLine.of(record, vectors=False), embedding=vector)
    assert (len(line.links), len(line.history)) == (MAX_LINKS, 64)
    escaped = json.dumps(json.loads(encode(line))).encode()  # every character escaped: the longest JSON form
    assert len(escaped) < MAX_LINE_BYTES


BAD_VECTOR = {
    "short": "AAAA",
    "nan": b64encode(struct.pack("<8f", *[float("nan")] * 8)).decode(),
    "long": b64encode(struct.pack("<8f", *[1.0] * 8)).decode(),
    "zero": b64encode(bytes(32)).decode(),
    "huge": b64encode(struct.pack("<8f", *[3e38] * 8)).decode(),
    "text": SECRET,
    "number": 5,
}


@pytest.mark.parametrize("vector", BAD_VECTOR.values(), ids=BAD_VECTOR)
def test_a_vector_that_is_none_is_refused(vector: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        back(line_of(embedding=vector))
    assert SECRET not in str(caught.value)


WRONG: dict[str, dict[str, Any]] = {
    "unknown field": {"score": 1},
    "missing field": {"trust": ...},
    "missing kind": {"kind": ...},
    "unknown kind": {"kind": SECRET},
    "unknown type": {"type": SECRET},
    "unknown source": {"source": SECRET},
    "unknown trust": {"trust": SECRET},
    "importance above 1": {"importance": 1.01},
    "importance below 0": {"importance": -0.01},
    "importance as text": {"importance": SECRET},
    "time as text": {"created_at": "2026-01-01"},
    "time below 0": {"created_at": -1},
    "time of no year": {"expires_at": 10**15},
    "time beyond all": {"updated_at": 10**40},
    "time as fraction": {"last_accessed": 1.5},
    "time as truth": {"created_at": True},
    "count below 0": {"access_count": -1},
    "count beyond JSON": {"access_count": 2**53},
    "turn below 0": {"turn_index": -1},
    "turn too high": {"turn_index": 2**31},
    "no id": {"id": ""},
    "long id": {"id": "x" * 65},
    "id with a line end": {"id": "a\nb"},
    "id as number": {"id": 5},
    "no user": {"user_id": ""},
    "user null": {"user_id": None},
    "long user": {"user_id": "x" * 257},
    "user with NUL": {"user_id": f"{SECRET}\0"},
    "user with a lone surrogate": {"user_id": "\ud800"},
    "project with a control character": {"project_id": "a\x9f"},
    "conversation with a line end": {"conversation_id": "\n"},
    "role with NUL": {"role": "\0"},
    "no content": {"content": ""},
    "content as list": {"content": [SECRET]},
    "superseded by NUL": {"superseded_by": "\0"},
    "quarantine with a control character": {"quarantine": f"{SECRET}\x1b"},
    "no quarantine rule": {"quarantine": ""},
    "pinned as text": {"pinned": SECRET},
    "pinned null": {"pinned": None},
    "links null": {"links": None},
    "link with a line end": {"links": ["m3", "a\nb"]},
    "link as number": {"links": [5]},
    "too many links": {"links": ["m3"] * (MAX_LINKS + 1)},
    "too long a history": {"history": [HAPPENING] * 65},
    "history of no event": {"history": [HAPPENING | {"event": SECRET}]},
    "history of nobody": {"history": [{"at": 8, "event": "created"}]},
    "history of no time": {"history": [HAPPENING | {"at": -1}]},
    "history with a long rule": {"history": [HAPPENING | {"rule": "x" * 201}]},
    "history with an odd rule": {"history": [HAPPENING | {"rule": f"{SECRET}\0"}]},
    "history with an odd reference": {"history": [HAPPENING | {"ref": "\x9f"}]},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_field_that_is_wrong_is_refused_without_its_value(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        back(line_of(**change))
    assert SECRET not in str(caught.value)
    ((name, value),) = change.items()
    if value is not ... and name != "score" and "lone" not in str(caught.value) and "JSON" not in str(caught.value):
        assert name in str(caught.value)


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_the_schema_refuses_what_the_reader_refuses(change: dict[str, Any]) -> None:
    if change != {"user_id": "\ud800"}:  # no JSON text of UTF-8 can say this
        assert not SCHEMA.is_valid(json.loads(line_of(**change)))


def test_an_unknown_field_is_named_and_cannot_steer_a_terminal() -> None:
    for line in (line_of(score=1), line_of(history=[HAPPENING | {"score": 1}])):
        with pytest.raises(InvalidRequest, match="unknown field `score`; remove it"):
            decode(line)
    with pytest.raises(InvalidRequest) as caught:
        decode(line_of(**{"\x1b[2J" + "x" * 500: 1}))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 120


JUNK = st.one_of(
    st.binary(max_size=300),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
    st.dictionaries(
        st.sampled_from(CARRIED),
        st.none() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.integers(), max_size=2),
        max_size=4,
    ).map(lambda changes: line_of(**changes)),
    st.tuples(st.integers(0, 600), st.binary(min_size=1, max_size=3)).map(
        lambda cut: line_of()[: cut[0]] + cut[1] + line_of()[cut[0] + len(cut[1]) :]
    ),
)


@given(JUNK)
def test_any_bytes_are_a_line_or_one_kind_of_error(raw: bytes) -> None:
    version_of(raw)
    try:
        found = back(raw)
    except (InvalidRequest, NotAMemory):
        return
    assert plain(back(encode(MemoryLine.of(found, vectors=found.embedding.size > 0)))) == plain(found)


@pytest.mark.parametrize("depth", [b"[" * 100_000, b'{"kind":' * 100_000, b'{"kind":"memory","id":' + b"[" * 100_000])
def test_deep_nesting_is_refused(depth: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode(depth)
    assert version_of(depth) is None


def test_the_schema_is_the_text_of_a_file_and_ends_in_a_line_end() -> None:
    assert re.search(r"\}\n\Z", json_schema())
