"""Reads an export as it arrives, and tells whether all of it did. No I/O here."""

import hashlib
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from memrouter.errors import DamagedData
from memrouter.models.history import Actor, Event
from memrouter.models.memory import MemoryType, Source, Trust

MAX_LINE_BYTES: Final = 1_048_576
"""Longest line that an export has."""


class ExportedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a memory; ``at`` in milliseconds since the epoch."""

    at: int
    event: Event
    actor: Actor
    rule: str | None = None
    ref: str | None = None


class ExportedMemory(msgspec.Struct, frozen=True, kw_only=True):
    """A memory with every field that is kept; times in milliseconds since the epoch. See ``MemoryRecord``."""

    id: str
    user_id: str
    project_id: str
    type: MemoryType
    content: str
    source: Source
    trust: Trust
    importance: float
    created_at: int
    updated_at: int
    embedding_model: str
    last_accessed: int | None = None
    expires_at: int | None = None
    access_count: int = 0
    conversation_id: str | None = None
    turn_index: int | None = None
    role: str | None = None
    superseded_by: str | None = None
    quarantine: str | None = None
    pinned: bool = False
    links: tuple[str, ...] = ()
    history: tuple[ExportedEvent, ...] = ()
    embedding: bytes | None = None
    """The vector as little-endian float32; None where the export has none."""


class _Kind(msgspec.Struct):
    kind: Literal["manifest", "memory", "trailer"]


class _Trailer(msgspec.Struct):
    count: int
    sha256: str


_KIND: Final = msgspec.json.Decoder(_Kind)
_MEMORY: Final = msgspec.json.Decoder(ExportedMemory)
_TRAILER: Final = msgspec.json.Decoder(_Trailer)


class ExportReader:
    """Takes an export in pieces of any size.

    Attributes:
        count: Memories so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._line = 0
        self._rest = b""
        self._digest = hashlib.sha256()
        self._trailer: _Trailer | None = None

    def take(self, piece: bytes) -> Iterator[ExportedMemory]:
        """Give the memories that a piece completes; it counts once they were all taken.

        Raises:
            DamagedData: A line is not one of an export.
        """
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise DamagedData(self._line + len(lines) + 1, f"it is longer than {MAX_LINE_BYTES} bytes")
        for line in lines:
            memory = self._read(line)
            if memory is not None:
                yield memory

    def end(self) -> int:
        """Return how many memories there were.

        Raises:
            DamagedData: The export was cut off, or changed on its way.
        """
        if self._trailer is None or self._rest:
            raise DamagedData(self._line + 1, "the export was cut off; ask for it again")
        if (self._trailer.count, self._trailer.sha256) != (self.count, self._digest.hexdigest()):
            raise DamagedData(self._line, "the export does not add up; ask for it again")
        return self.count

    def _read(self, line: bytes) -> ExportedMemory | None:
        self._line += 1
        if self._trailer is not None:
            raise DamagedData(self._line, "something follows the last line")
        try:
            kind = _KIND.decode(line).kind
            if kind == "trailer":
                self._trailer = _TRAILER.decode(line)
                return None
            self._digest.update(line + b"\n")
            if kind == "manifest":
                return None
            memory = _MEMORY.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise DamagedData(self._line, "it is not a line of an export") from None
        self.count += 1
        return memory
