"""Chunks of bytes in, memories out; what stands before a damaged line is given out first."""

from collections.abc import Iterable, Sequence

from memrouter.errors import DamagedData
from memrouter.transfer.lines import LineSplitter
from memrouter.transfer.reader import MemoryReader, Read


class Intake:
    """Feeds a reader. Work grows with the bytes given: call it in a thread.

    Args:
        reader: Takes the lines.
        splitter: Cuts the bytes.

    Attributes:
        damage: What ended the reading; None so far.
    """

    def __init__(self, reader: MemoryReader, splitter: LineSplitter) -> None:
        self.damage: DamagedData | None = None
        self._reader = reader
        self._splitter = splitter

    def take(self, chunk: bytes) -> Sequence[Read]:
        """Return the memories that ``chunk`` completes, up to the first damage."""
        return self._fed(self._splitter.feed(chunk))

    def end(self) -> Sequence[Read]:
        """Return the memories behind the last line end; whatever is missing then is damage."""
        reads = self._fed(self._splitter.rest())
        if self.damage is None:
            try:
                self._reader.finish()
            except DamagedData as error:
                self.damage = error
        return reads

    def _fed(self, lines: Iterable[bytes]) -> Sequence[Read]:
        reads: list[Read] = []
        if self.damage is not None:
            return reads
        try:
            for line in lines:
                read = self._reader.feed(line)
                if read is not None:
                    reads.append(read)
        except DamagedData as error:
            self.damage = error
        return reads
