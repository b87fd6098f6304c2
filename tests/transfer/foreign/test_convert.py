"""Files of mem0 and Redis Agent Memory Server become lines of the data format; nothing in them can break it."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import InvalidRequest
from memrouter.models.memory import MemoryType, Source, Trust
from memrouter.stores.base import Capabilities
from memrouter.transfer.foreign.convert import Conversion, Foreign, convert
from memrouter.transfer.foreign.memory import Owners
from memrouter.transfer.format import Manifest, MemoryLine, Trailer, decode
from memrouter.transfer.intake import Intake
from memrouter.transfer.lines import LineSplitter
from memrouter.transfer.reader import MemoryReader
from memrouter.transfer.seen import SeenMemories

ABOUT = Capabilities("sqlite", 64, "hash-64", exact=True)
NOW = 1_767_225_600_000

MEM0 = {
    "id": "892db2ae-06d9-49e5-8b3e-585ef9b85b8e",
    "memory": "Loves hiking",
    "hash": "c8e4",
    "metadata": {"category": "hobby"},
    "score": None,
    "created_at": "2025-06-01T10:00:00.250000-07:00",
    "updated_at": None,
    "user_id": "alice",
    "agent_id": "coach",
    "run_id": "run-7",
    "expiration_date": "2025-12-31",
}
AMS = {
    "id": "01JH",
    "text": "User visited Paris",
    "session_id": "s-1",
    "user_id": "alice",
    "namespace": "travel",
    "last_accessed": "2025-07-02T00:00:00Z",
    "created_at": "2025-07-01T00:00:00Z",
    "updated_at": "2025-07-01T12:00:00Z",
    "pinned": True,
    "access_count": 3,
    "topics": ["travel"],
    "entities": [],
    "memory_hash": "ff",
    "memory_type": "episodic",
    "event_date": "2025-06-30T15:00:00Z",
    "dist": 0.2,
}


def converted(
    document: Any, origin: Foreign = Foreign.MEM0, owners: Owners | None = None
) -> tuple[Conversion, list[MemoryLine]]:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    target = io.BytesIO()
    report = convert([raw], target, origin=origin, owners=owners or Owners(), about=ABOUT, now=NOW)
    manifest, *lines, trailer = map(decode, target.read().splitlines())
    assert isinstance(manifest, Manifest)
    assert isinstance(trailer, Trailer)
    assert manifest.count == trailer.count == len(lines) == report.converted
    return report, [line for line in lines if isinstance(line, MemoryLine)]


def test_a_memory_of_mem0_keeps_owner_run_times_and_expiry() -> None:
    report, [line] = converted({"results": [MEM0]})
    assert (line.id, line.user_id, line.project_id) == (MEM0["id"], "alice", "default")
    assert (line.content, line.type, line.conversation_id) == ("Loves hiking", MemoryType.SEMANTIC, "run-7")
    assert (line.source, line.trust) == (Source.IMPORT, Trust.IMPORT)
    assert line.created_at == line.updated_at == 1_748_797_200_250
    assert line.expires_at == 1_767_225_600_000  # the end of the day, UTC
    assert report.as_dict()["dropped"] == {"metadata": 1, "project": 1}


def test_agents_and_namespaces_become_projects_where_that_is_asked_for() -> None:
    owners = Owners(keep_projects=True)
    assert converted([MEM0], owners=owners)[1][0].project_id == "coach"
    assert converted([AMS], Foreign.REDIS_AMS, owners)[1][0].project_id == "travel"


def test_a_memory_of_redis_ams_keeps_use_pin_session_and_the_day_of_its_event() -> None:
    report, [line] = converted({"memories": [AMS], "total": 1}, Foreign.REDIS_AMS)
    assert (line.id, line.user_id, line.conversation_id) == ("01JH", "alice", "s-1")
    assert (line.type, line.pinned, line.access_count) == (MemoryType.EPISODIC, True, 3)
    assert line.content == "User visited Paris (on 2025-06-30)"
    assert (line.created_at, line.updated_at) == (1_751_328_000_000, 1_751_371_200_000)
    assert line.last_accessed == 1_751_414_400_000
    assert report.as_dict()["dropped"] == {"project": 1, "topics": 1}


def test_a_working_memory_gives_its_memories_its_user_and_session() -> None:
    document = {"messages": [], "user_id": "bob", "session_id": "s-9", "memories": [{"id": "1", "text": "Has a dog"}]}
    _, [line] = converted(document, Foreign.REDIS_AMS)
    assert (line.user_id, line.conversation_id, line.type) == ("bob", "s-9", MemoryType.SEMANTIC)


def test_what_a_vector_store_of_mem0_holds_is_read_too() -> None:
    point = {"id": "1", "payload": {"data": "Has a cat", "user_id": "bob", "created_at": 1_750_000_000, "role": "user"}}
    _, [line] = converted([point])
    assert (line.content, line.user_id, line.role) == ("Has a cat", "bob", "user")
    assert line.created_at == 1_750_000_000_000


def test_lines_of_json_are_read_and_broken_ones_named() -> None:
    raw = b'{"id": "1", "memory": "a", "user_id": "u"}\n\nnot json\n[1]\n{"id": "2", "memory": "b", "user_id": "u"}\n'
    report, lines = converted(raw)
    assert [line.content for line in lines] == ["a", "b"]
    assert [(reason.line, reason.reason) for reason in report.reasons] == [
        (2, "it is no JSON object"),
        (3, "it is no JSON object"),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_id": None}, "it names no user; give --default-user NAME"),
        ({"memory": "  "}, "it has no text"),
        ({"memory": 5}, "its memory is no text"),
        ({"created_at": "yesterday"}, "its created_at is no time"),
        ({"created_at": True}, "its created_at is no time"),
        ({"user_id": "a\nb"}, "user_id holds a control character or a lone surrogate"),
    ],
)
def test_what_cannot_be_kept_is_skipped_with_the_reason(change: dict[str, Any], reason: str) -> None:
    report, lines = converted([{**MEM0, **change}, MEM0])
    assert [(found.line, found.reason) for found in report.reasons] == [(1, reason)]
    assert len(lines) == 1


def test_a_memory_without_a_user_can_be_given_one_and_its_own_wins() -> None:
    _, lines = converted([{"memory": "a"}, {"memory": "b", "user_id": "bob"}], owners=Owners("alice"))
    assert [line.user_id for line in lines] == ["alice", "bob"]


def test_ids_that_cannot_be_kept_are_made_and_come_out_the_same_again() -> None:
    items = [{"memory": "a", "user_id": "u"}, {"memory": "b", "user_id": "u", "id": "x" * 65}]
    first, again = converted(items)[1], converted(items)[1]
    assert [line.id for line in first] == [line.id for line in again]
    assert len({line.id for line in first}) == 2


def test_the_second_memory_of_one_id_is_skipped() -> None:
    report, lines = converted([MEM0, {**MEM0, "memory": "other"}, {**MEM0, "user_id": "bob"}])
    assert (len(lines), report.skipped) == (2, 1)


def test_a_long_text_is_cut_and_that_is_told() -> None:
    report, [line] = converted([{**MEM0, "memory": "é" * 20_000}])
    assert len(line.content.encode()) == 16_384
    assert report.dropped["end of content"] == 1


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no JSON object; is it an export of mem0"):
        converted(b"\x1f\x8b\x00binary\nmore")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_NAMES = sorted({*MEM0, *AMS, "payload", "results", "memories", "data", "id_"})
_ITEMS = st.dictionaries(st.sampled_from(_NAMES), _JSON, min_size=1, max_size=8) | st.builds(
    lambda item, change: {**item, **change},
    st.sampled_from([MEM0, AMS]),
    st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=2),
)


@given(items=st.lists(_ITEMS, min_size=1, max_size=4), origin=st.sampled_from(Foreign), wrapped=st.booleans())
def test_whatever_is_in_the_file_the_lines_are_ones_that_every_import_reads(
    items: list[dict[str, Any]], origin: Foreign, wrapped: bool
) -> None:
    target = io.BytesIO()
    document = {"results": items} if wrapped else items
    report = convert([json.dumps(document).encode()], target, origin=origin, owners=Owners("u"), about=ABOUT, now=NOW)
    assert report.read == report.converted + report.skipped == len(items)
    with SeenMemories() as seen:
        intake = Intake(MemoryReader(seen), LineSplitter())
        reads = [*intake.take(target.read()), *intake.end()]
    assert intake.damage is None
    assert len([read for read in reads if read.record is not None]) == report.converted


@given(raw=st.binary(max_size=200))
def test_no_bytes_break_the_conversion(raw: bytes) -> None:
    try:
        convert([raw], io.BytesIO(), origin=Foreign.MEM0, owners=Owners("u"), about=ABOUT, now=NOW)
    except InvalidRequest as error:
        assert "no JSON object" in str(error)  # noqa: PT017 - most bytes are fine
