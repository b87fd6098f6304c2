"""A matrix that grows at its front."""

import numpy as np

from memrouter.models.memory import Matrix

SPARE_ROWS = 16
"""Fewest rows that there is room for once a matrix has grown; an eighth of it where that is more."""


class GrowingMatrix:
    """Rows that others can be put before, most often without copying them. Any thread may read it, or have it grow.

    What it shows never changes: the room before it belongs to the one that grows from it first, and to those that grow
    from that one.

    Args:
        rows: All of it; shape (n, dimension).
        buffer: What they are the end of; None for no more than they are.

    Attributes:
        rows: As given.
    """

    def __init__(self, rows: Matrix, *, buffer: Matrix | None = None) -> None:
        self.rows = rows
        self._buffer = rows if buffer is None else buffer
        self._right = [True]  # to the room; gone once somebody has it

    @property
    def nbytes(self) -> int:
        """Return the memory that it takes, its room included."""
        return self._buffer.nbytes

    def preceded(self, rows: Matrix) -> "GrowingMatrix":
        """Return one with ``rows``, shape (k, dimension), before these."""
        size, buffer = len(rows) + len(self.rows), self._buffer
        start = len(buffer) - size
        if start < 0 or not self._take_room():
            start = max(SPARE_ROWS, size // 8)
            buffer = np.empty((start + size, rows.shape[1]), dtype=np.float32)
            buffer[start + len(rows) :] = self.rows
        buffer[start : start + len(rows)] = rows
        return GrowingMatrix(buffer[start:], buffer=buffer)

    def _take_room(self) -> bool:
        """Return whether the room is the caller's: one has it alone, since ``pop`` is one step for all threads."""
        try:
            return self._right.pop()
        except IndexError:
            return False
