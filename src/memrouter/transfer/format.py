"""The data format: one JSON object a line, a manifest first, memories, a trailer last. Pure; no file is known here.

``memories.schema.json`` beside this module says the same to other programs.
"""

import re
from collections.abc import Iterator
from importlib.resources import files
from operator import attrgetter
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta, Struct

from memrouter.errors import InvalidRequest, SchemaMismatch
from memrouter.memory.storing.drafts import MAX_TIME_MS
from memrouter.models.history import MAX_HISTORY, Actor, Event, HistoryEntry, appended
from memrouter.models.memory import (
    DEFAULT_PROJECT,
    MAX_ID_CHARS,
    MAX_IDENTITY_CHARS,
    MemoryRecord,
    MemoryType,
    Source,
    Trust,
    Vector,
    check_identity,
)
from memrouter.stores.vectors import to_bytes

FORMAT: Final = "memrouter-memories"
VERSION: Final = 2
"""The version that is written."""
READABLE: Final = (1, VERSION)
"""The versions that are read; the first one had no quarantine, pins, links and history."""
MEDIA_TYPE: Final = "application/x-ndjson"
MAX_LINE_BYTES: Final = 1_048_576
"""Longest line, its end included: room for the largest memory in its longest JSON form with the longest vector."""
MAX_DIMENSION: Final = 32_768
MAX_LINKS: Final = 256
"""Most links of a line; a memory that has more is written with the first ones."""
MAX_RULE_CHARS: Final = 200
NO_VECTOR: Final[Vector] = np.empty(0, dtype=np.float32)
"""Stands for the vector of a memory that came without one, or whose vector is no longer that of its text."""

CARRIED: Final = (
    "id", "user_id", "project_id", "type", "content", "source", "trust", "importance", "created_at", "updated_at",
    "last_accessed", "expires_at", "access_count", "conversation_id", "turn_index", "role", "superseded_by",
    "embedding_model", "quarantine", "pinned", "links",
)  # fmt: skip
"""Names of the fields that are the same in a line and in a record."""

_NAMES: Final = ("id", "user_id", "project_id", "conversation_id", "role", "superseded_by", "quarantine")
_carried = attrgetter(*CARRIED)
_names = attrgetter(*_NAMES)
_SHOWN_CHARS: Final = 64
_OWN_WORDS: Final = re.compile(r"^Invalid (?:enum )?value .*? - at ", re.DOTALL)

Identity: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_IDENTITY_CHARS)]
Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS)]
Moment: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]
MAX_NUMBER: Final = 2**53 - 1
"""Largest number that every JSON reader keeps exactly."""
Number: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
Name: TypeAlias = Annotated[str, Meta(max_length=MAX_IDENTITY_CHARS)]


class _Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all lines have in common."""


class Origin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What wrote the lines; names no host."""

    backend: Name
    memrouter: Name


class Filters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which memories were asked for; null and empty lists for all.

    Attributes:
        user_id: Only this user's.
        project_id: Only this project's.
        types: Only of these types.
        sources: Only from these sources.
        since: Only created at this time or later, in milliseconds since the epoch.
        until: Only created before this time.
    """

    user_id: Identity | None = None
    project_id: Identity | None = None
    types: list[MemoryType] = []
    sources: list[Source] = []
    since: Moment | None = None
    until: Moment | None = None


class Manifest(_Line, frozen=True, kw_only=True, tag="manifest"):
    """The first line.

    Attributes:
        format: Always ``memrouter-memories``.
        version: Version of the format.
        embedding_model: Model of the store that was read.
        dimension: Length of every vector in the file.
        count: How many memories the store held for this export when it began; null where filters leave that open.
            Only the trailer's count is binding: a store that is in use may change meanwhile.
        created: When the export began, in milliseconds since the epoch.
        source: What wrote the lines.
        filters: Which memories were asked for.
        vectors: Whether memories come with their vectors.
    """

    format: Literal["memrouter-memories"]
    version: Number
    embedding_model: Name
    dimension: Annotated[int, Meta(ge=1, le=MAX_DIMENSION)]
    count: Number | None
    created: Moment
    source: Origin
    filters: Filters
    vectors: bool


class HistoryLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that happened to a memory; see ``HistoryEntry``."""

    at: Moment
    event: Event
    actor: Actor
    rule: Annotated[str, Meta(min_length=1, max_length=MAX_RULE_CHARS)] | None = None
    ref: Identity | None = None

    @classmethod
    def of(cls, entry: HistoryEntry) -> "HistoryLine":
        """Return the form of an entry in a line."""
        return cls(at=entry.at, event=entry.event, actor=entry.actor, rule=entry.rule, ref=entry.ref)

    def entry(self) -> HistoryEntry:
        """Return the entry."""
        return HistoryEntry(self.at, self.event, self.actor, rule=self.rule, ref=self.ref)


class MemoryLine(_Line, frozen=True, kw_only=True, tag="memory"):
    """One memory: every field of ``MemoryRecord``, times in milliseconds since the epoch.

    Attributes:
        embedding: The vector as little-endian float32, base64 in JSON; null or left out: it is made from the text.
        quarantine: The rule for which it is kept apart; null where it is not.
        pinned: Whether it stays whatever is pruned.
        links: Ids of the memories that it was made from.
        history: What happened to it, oldest first.
    """

    id: Id
    user_id: Identity
    project_id: Identity
    type: MemoryType
    content: Annotated[str, Meta(min_length=1)]
    source: Source
    trust: Trust
    importance: Annotated[float, Meta(ge=0, le=1)]
    created_at: Moment
    updated_at: Moment
    last_accessed: Moment | None
    expires_at: Moment | None
    access_count: Number
    conversation_id: Identity | None
    turn_index: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None
    role: Identity | None
    superseded_by: Id | None
    embedding_model: Name
    embedding: bytes | None = None
    quarantine: Identity | None = None
    pinned: bool = False
    links: Annotated[tuple[Id, ...], Meta(max_length=MAX_LINKS)] = ()
    history: Annotated[tuple[HistoryLine, ...], Meta(max_length=MAX_HISTORY)] = ()

    @classmethod
    def of(cls, record: MemoryRecord, *, vectors: bool) -> "MemoryLine":
        """Return the line of a memory; a project that the Go router left empty is the default one.

        What may grow without end is cut, so that no further access, merger or event makes a memory unreadable: a
        count of accesses ends at MAX_NUMBER, links at MAX_LINKS, a history as ``appended`` cuts it.
        """
        values = dict(zip(CARRIED, _carried(record), strict=True))
        values["access_count"] = min(record.access_count, MAX_NUMBER)
        values["project_id"] = record.project_id or DEFAULT_PROJECT
        values["links"] = record.links[:MAX_LINKS]
        vector = np.ascontiguousarray(record.embedding, dtype="<f4").tobytes() if vectors else None
        history = tuple(map(HistoryLine.of, appended(record.history)))
        return cls(**values, embedding=vector, history=history)

    def record(self, *, dimension: int) -> MemoryRecord:
        """Return the memory; ``NO_VECTOR`` where the line has no vector.

        Args:
            dimension: What the manifest says.

        Raises:
            InvalidRequest: A name holds characters that cannot be stored, or the vector is not one of this dimension,
                finite and of unit length.
        """
        names = _names(self)
        if not "".join(filter(None, names)).isprintable():
            for param, name in zip(_NAMES, names, strict=True):
                if name is not None:
                    check_identity(name, param=param)
        for param, name in self._named():
            check_identity(name, param=param)
        vector = NO_VECTOR if self.embedding is None else _vector(self.embedding, dimension)
        values = dict(zip(CARRIED, _carried(self), strict=True))
        return MemoryRecord(**values, embedding=vector, history=tuple(line.entry() for line in self.history))

    def _named(self) -> Iterator[tuple[str, str]]:
        """Give the names in the links and the history, each with its field."""
        for link in self.links:
            yield "links", link
        for entry in self.history:
            for name in (entry.rule, entry.ref):
                if name is not None:
                    yield "history", name


class Trailer(_Line, frozen=True, kw_only=True, tag="trailer"):
    """The last line.

    Attributes:
        count: Number of memories in the file.
        sha256: Over all bytes of the lines before, line ends included; 64 hex digits.
    """

    count: Number
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class _Versioned(Struct):
    """What every version of the format has in its first line."""

    version: Number


Line: TypeAlias = Manifest | MemoryLine | Trailer

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def encode(line: Line) -> bytes:
    """Return a line with its end.

    Raises:
        InvalidRequest: It holds text that has no UTF-8 form.
    """
    try:
        return _ENCODER.encode(line) + b"\n"
    except UnicodeEncodeError:
        raise InvalidRequest("it holds a lone surrogate, which has no UTF-8 form") from None


def decode(raw: bytes) -> Line:
    """Return the line behind its bytes.

    Raises:
        InvalidRequest: Not JSON, or a field that is missing, unknown, or of the wrong type or range; the message
            names the field and nothing that stands in it.
    """
    try:
        return _DECODER.decode(raw)
    except msgspec.ValidationError as error:
        # The decoder's error may quote a value, so it is not kept as the cause.
        raise InvalidRequest(_described(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("it is not one JSON object in UTF-8") from None


def version_of(raw: bytes) -> int | None:
    """Return the version that a first line names, whatever else is in it; None where it names none."""
    try:
        return msgspec.json.decode(raw, type=_Versioned).version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def json_schema() -> str:
    """Return the JSON Schema of one line; reads a file of the package."""
    return files("memrouter.transfer").joinpath("memories.schema.json").read_text(encoding="utf-8")


def _vector(raw: bytes, dimension: int) -> Vector:
    if len(raw) != 4 * dimension:
        raise InvalidRequest(f"its vector has {len(raw)} bytes; {dimension} numbers have {4 * dimension}")
    vector: Vector = np.frombuffer(raw, dtype="<f4")
    try:
        to_bytes(vector, dimension=dimension)
    except SchemaMismatch:
        raise InvalidRequest("its vector is not finite or not of unit length") from None
    return vector


def _described(message: str) -> str:
    message = _OWN_WORDS.sub("a value that is not allowed - at ", message)
    head, found, name = message.partition("unknown field `")
    if found:
        shown = "".join(char if char.isprintable() else "?" for char in name[:_SHOWN_CHARS].split("`")[0])
        return f"unknown field `{shown}`; remove it"
    return head
