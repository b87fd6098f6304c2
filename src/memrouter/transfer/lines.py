"""Bytes as they come, cut into lines of bounded length."""

from collections.abc import Iterator

from memrouter.errors import DamagedData
from memrouter.transfer.format import MAX_LINE_BYTES


class LineSplitter:
    """Joins chunks and cuts them at line ends; holds one unfinished line at most.

    Args:
        limit: Most bytes of a line, its end included.

    Attributes:
        number: Number of the last line that was given out.
    """

    def __init__(self, *, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._pending = bytearray()
        self.number = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that ``chunk`` completes, each with its end; go through all of them.

        Raises:
            DamagedData: A line is longer than the limit.
        """
        start = 0
        while (end := chunk.find(b"\n", start) + 1) > 0:
            self._keep(chunk[start:end])
            start = end
            yield self._next()
        self._keep(chunk[start:])

    def rest(self) -> Iterator[bytes]:
        """Yield what stands behind the last line end, if anything."""
        if self._pending:
            yield self._next()

    def _keep(self, part: bytes) -> None:
        if len(self._pending) + len(part) > self._limit:
            raise DamagedData(self.number + 1, f"it is longer than {self._limit} bytes")
        self._pending += part

    def _next(self) -> bytes:
        line = bytes(self._pending)
        self._pending.clear()
        self.number += 1
        return line
