"""Reads lines of the data format and believes none of them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from memrouter.errors import DamagedData, InvalidRequest
from memrouter.models.memory import MemoryRecord
from memrouter.transfer.format import READABLE, VERSION, Line, Manifest, MemoryLine, Trailer, decode, version_of
from memrouter.transfer.seen import SeenMemories

Claim: TypeAlias = Callable[[MemoryRecord], MemoryRecord | None]
"""Says whose a memory is to be: gives it back with its owner to be, or None where it is left out.

Raises InvalidRequest where a memory of this owner must not occur at all.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """A memory and the line that it came from, counted from 1; no record where it is left out."""

    line: int
    record: MemoryRecord | None


class MemoryReader:
    """Takes lines one after another and gives back memories; pure but for the set of ids that were seen.

    Args:
        seen: Where ids are noted; closed by the caller.
        claim: Says whose each memory is to be.

    Attributes:
        manifest: The first line; None before it was read.
        count: Memories so far.
        line: Lines so far.
        identity: Digest of the first line, by which a file is known again.
    """

    def __init__(self, seen: SeenMemories, *, claim: Claim = lambda record: record) -> None:
        self.manifest: Manifest | None = None
        self.count = 0
        self.line = 0
        self.identity = ""
        self._seen = seen
        self._claim = claim
        self._hash = hashlib.sha256()
        self._complete = False

    @property
    def complete(self) -> bool:
        """Return whether the trailer was read and says what was read."""
        return self._complete

    @property
    def sha256(self) -> str:
        """Return the checksum over the lines before the trailer, or over all lines so far, as 64 hex digits."""
        return self._hash.hexdigest()

    def feed(self, raw: bytes) -> Read | None:
        """Take the next line, its end included; return its memory, or None for a manifest or trailer.

        Raises:
            DamagedData: The line is not what must stand here. Nothing more can be read.
        """
        self.line += 1
        try:
            line = self._placed(self._decoded(raw))
            read = self._read(line) if isinstance(line, MemoryLine) else None
        except InvalidRequest as error:
            raise DamagedData(self.line, str(error)) from None
        if not isinstance(line, Trailer):
            self._hash.update(raw)
        if isinstance(line, Manifest):
            self.identity = self._hash.hexdigest()
        return read

    def finish(self) -> None:
        """Note that no line follows.

        Raises:
            DamagedData: The trailer is missing: the file was cut off.
        """
        if not self._complete:
            raise DamagedData(self.line + 1, "the trailer is missing; the file is cut off")

    def _decoded(self, raw: bytes) -> Line:
        version = version_of(raw) if self.manifest is None else VERSION
        if version is not None and version not in READABLE:
            raise InvalidRequest(f"version {version} of the format; this memrouter reads versions up to {VERSION}")
        return decode(raw)

    def _placed(self, line: Line) -> Line:
        """Return ``line`` if it may stand here, noting what it says."""
        if self._complete:
            raise InvalidRequest("something follows the trailer")
        if isinstance(line, Manifest) != (self.manifest is None):
            raise InvalidRequest("the manifest must be the first line, and no other")
        if isinstance(line, Manifest):
            self.manifest = line
        elif isinstance(line, Trailer):
            self._close(line)
        return line

    def _close(self, trailer: Trailer) -> None:
        if trailer.count != self.count:
            raise InvalidRequest(f"the trailer counts {trailer.count} memories, but {self.count} stand before it")
        if trailer.sha256 != self._hash.hexdigest():
            raise InvalidRequest("the checksum of the trailer is not that of the lines before it; one was changed")
        self._complete = True

    def _read(self, line: MemoryLine) -> Read:
        assert self.manifest is not None  # noqa: S101 - _placed saw it
        record = self._claim(line.record(dimension=self.manifest.dimension))
        if record is not None and not self._seen.add(record):
            raise InvalidRequest("its owner has a memory of this id on an earlier line")
        self.count += 1
        return Read(self.line, record)
