"""Makes the lines of an export and keeps count of them."""

import hashlib
from collections.abc import Iterable

from memrouter.errors import InvalidRequest
from memrouter.models.memory import MemoryRecord
from memrouter.transfer.format import Manifest, MemoryLine, Trailer, decode, encode
from memrouter.transfer.report import ExportReport, Outcomes


class LineWriter:
    """Turns memories into lines. Work grows with the memories given: call it in a thread.

    Args:
        manifest: The first line.
        outcomes: Figures to go on with, from an export that was broken off.

    Attributes:
        manifest: The first line.
        outcomes: What became of the memories so far.
        size: Bytes of the lines so far.
    """

    def __init__(self, manifest: Manifest, *, outcomes: Outcomes | None = None) -> None:
        self.manifest = manifest
        self.outcomes = outcomes or Outcomes()
        self.size = 0
        self._count = 0
        self._users = 0
        self._hidden = 0
        self._last_user: str | None = None
        self._hash = hashlib.sha256()

    def begin(self) -> bytes:
        """Return the first line."""
        return self._noted(encode(self.manifest))

    def page(self, records: Iterable[MemoryRecord]) -> bytes:
        """Return the lines of some memories.

        One that no reader would take, as other routers may have written them, is refused and counted.
        """
        lines = []
        for record in records:
            self.outcomes.read += 1
            try:
                line = encode(MemoryLine.of(record, vectors=self.manifest.vectors))
                self._require_readable(line)
            except InvalidRequest as error:
                self.outcomes.refuse(str(error))
                continue
            self.outcomes.added += 1
            self.count(record)
            lines.append(line)
        return self._noted(b"".join(lines))

    def count(self, record: MemoryRecord) -> None:
        """Count a memory that has a line. Those of a user come one after the other."""
        self._count += 1
        self._users += record.user_id != self._last_user
        self._hidden += not record.visible(self.manifest.created)
        self._last_user = record.user_id

    def take_up(self, raw: bytes) -> None:
        """Count the bytes of a line that an earlier run has written."""
        self._noted(raw)

    def leave_out(self, count: int) -> None:
        """Count memories that the selection does not cover."""
        self.outcomes.read += count
        self.outcomes.left_out += count

    def end(self) -> bytes:
        """Return the last line."""
        return encode(Trailer(count=self._count, sha256=self._hash.hexdigest()))

    def report(self, *, dry_run: bool = False) -> ExportReport:
        """Return what was written."""
        return ExportReport(
            memories=self._count,
            users=self._users,
            hidden=self._hidden,
            outcomes=self.outcomes,
            size=self.size,
            sha256="" if dry_run else self._hash.hexdigest(),
            dry_run=dry_run,
        )

    def _require_readable(self, line: bytes) -> None:
        read = decode(line)
        if isinstance(read, MemoryLine):
            read.record(dimension=self.manifest.dimension)

    def _noted(self, raw: bytes) -> bytes:
        self._hash.update(raw)
        self.size += len(raw)
        return raw
