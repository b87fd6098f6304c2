"""The reader believes nothing; all that stands before a damage is given out."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from memrouter.models.memory import MemoryRecord
from memrouter.testing.records import plain
from memrouter.transfer.format import MAX_LINE_BYTES

from .samples import factory, file_of, memories_of, objects, read_all, sealed

RECORDS = factory().many(6) + factory().many(2, user_id="bob")
WHOLE = file_of(RECORDS)
LINES = objects(WHOLE)
BODY = LINES[:-1]

Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def changed(place: int, **values: Any) -> list[dict[str, Any]]:
    return [line | values if number == place else line for number, line in enumerate(BODY)]


@pytest.mark.parametrize("chunk", [1, 7, 1000, 1 << 20])
def test_a_whole_file_gives_its_records_bit_by_bit(chunk: int) -> None:
    reads, intake = read_all(WHOLE, chunk=chunk)
    assert intake.damage is None
    assert [read.line for read in reads] == list(range(2, 10))
    assert [plain(record) for record in memories_of(reads)] == [plain(record) for record in RECORDS]


def test_a_file_of_version_1_is_read() -> None:
    """Its memories had no quarantine, pins, links and history."""
    later = {"quarantine", "pinned", "links", "history"}
    lines = [{name: value for name, value in line.items() if name not in later} for line in changed(0, version=1)]
    assert lines != BODY
    reads, intake = read_all(sealed(lines))
    assert intake.damage is None
    assert [plain(record) for record in memories_of(reads)] == [plain(record) for record in RECORDS]


def test_a_missing_line_end_of_the_trailer_and_carriage_returns_do_no_harm() -> None:
    assert read_all(WHOLE.rstrip(b"\n"))[1].damage is None
    body = WHOLE.splitlines(keepends=True)[:-1]
    with_returns = sealed(BODY).replace(b"}\n", b"}\r\n")
    assert body
    assert read_all(with_returns)[1].damage is not None  # the checksum is over the bytes as they are


DAMAGED: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 1, "the trailer is missing"),
    "not JSON": (b"hello\n", 1, "not one JSON object"),
    "blank line": (b"\n" + WHOLE, 1, "not one JSON object"),
    "byte order mark": (b"\xef\xbb\xbf" + WHOLE, 1, "not one JSON object"),
    "no manifest": (sealed(BODY[1:]), 1, "the manifest must be the first line"),
    "two manifests": (sealed([BODY[0], *BODY]), 2, "the manifest must be the first line"),
    "another format": (sealed(changed(0, format="x")), 1, "not allowed - at `$.format`"),
    "a later version": (
        sealed(changed(0, version=3)),
        1,
        "version 3 of the format; this memrouter reads versions up to 2",
    ),
    "a later version with more fields": (sealed(changed(0, version=3, more=1)), 1, "version 3 of the format"),
    "version 0": (sealed(changed(0, version=0)), 1, "version 0 of the format"),
    "unknown field in the manifest": (sealed(changed(0, host="db1")), 1, "unknown field `host`"),
    "unknown field": (sealed(changed(4, score=1)), 5, "unknown field `score`"),
    "wrong type": (sealed(changed(4, importance="high")), 5, "Expected `float`, got `str` - at `$.importance`"),
    "out of range": (sealed(changed(4, importance=2)), 5, "<= 1.0 - at `$.importance`"),
    "another dimension": (sealed(changed(4, embedding="AAAAAA==")), 5, "its vector has 4 bytes; 8 numbers have 32"),
    "not unit": (sealed(changed(4, embedding="A" * 42 + "==")), 5, "its vector has 31 bytes"),
    "twice the same id": (sealed([*BODY, BODY[3]]), 10, "an earlier line"),
    "oversized line": (sealed(changed(4, content="x" * MAX_LINE_BYTES)), 5, f"longer than {MAX_LINE_BYTES} bytes"),
    "a line is missing": (WHOLE.replace(WHOLE.splitlines(keepends=True)[4], b""), 9, "the trailer counts 8 memories"),
    "a line was changed": (WHOLE.replace(b"fact number 3", b"fact number 4"), 10, "the checksum"),
    "lines were swapped": (
        b"".join([*WHOLE.splitlines(keepends=True)[:2], *WHOLE.splitlines(keepends=True)[3:1:-1]])
        + b"".join(WHOLE.splitlines(keepends=True)[4:]),
        10,
        "the checksum",
    ),
    "cut at a line": (b"".join(WHOLE.splitlines(keepends=True)[:5]), 6, "the file is cut off"),
    "cut in a line": (WHOLE[: WHOLE.index(b"fact number 4")], 5, "not one JSON object"),
    "something behind the trailer": (WHOLE + b'{"kind":"trailer"}\n', 11, "Object missing required field"),
    "another file behind it": (WHOLE + WHOLE, 11, "something follows the trailer"),
    "a blank line behind it": (WHOLE + b"\n", 11, "not one JSON object"),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("chunk", [11, 1 << 20])
def test_damage_is_named_with_its_line_and_all_before_it_is_read(name: str, chunk: int) -> None:
    data, line, reason = DAMAGED[name]
    reads, intake = read_all(data, chunk=chunk)
    assert intake.damage is not None
    assert intake.damage.line == line
    assert reason in str(intake.damage)
    assert str(intake.damage).startswith(f"line {line}: ")
    assert [read.line for read in reads] == [number for number in range(2, line) if number < 10]


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_changed_byte_is_always_found(place: int, value: int) -> None:
    broken = WHOLE[:place] + bytes([value]) + WHOLE[place + 1 :]
    reads, intake = read_all(broken)
    if broken == WHOLE:
        return
    assert intake.damage is not None or place == len(WHOLE) - 1  # white space instead of the last line end
    assert len(reads) <= len(RECORDS)


@given(st.integers(0, len(WHOLE) - 2))
def test_a_cut_file_is_never_whole_and_gives_only_what_was_written(length: int) -> None:
    reads, intake = read_all(WHOLE[:length])
    assert intake.damage is not None
    assert [plain(record) for record in memories_of(reads)] == [plain(record) for record in RECORDS[: len(reads)]]


@given(st.lists(st.one_of(st.binary(max_size=80), st.sampled_from(WHOLE.splitlines())), max_size=8), st.integers(1, 99))
def test_any_lines_end_in_damage_or_in_a_whole_file(lines: list[bytes], chunk: int) -> None:
    data = b"\n".join(lines)
    reads, intake = read_all(data, chunk=chunk)
    assert (intake.damage is None) == (data.rstrip(b"\n") == WHOLE.rstrip(b"\n"))
    assert all(read.record is not None for read in reads)
    if intake.damage is not None:
        assert 1 <= intake.damage.line <= len(lines) + 2


def test_two_owners_may_have_the_same_id() -> None:
    record = RECORDS[0]
    twins = [record, replace(record, user_id="bob")]
    reads, intake = read_all(file_of(twins))
    assert intake.damage is None
    assert [read.record.user_id for read in reads if read.record] == ["alice", "bob"]


def test_a_duplicate_is_found_however_far_the_first_one_is() -> None:
    records: list[MemoryRecord] = factory().many(3000)
    random.Random(1).shuffle(records)
    reads, intake = read_all(file_of([*records, records[0]]))
    assert len(reads) == 3000
    assert intake.damage is not None
    assert intake.damage.line == 3002
