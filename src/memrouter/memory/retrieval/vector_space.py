"""An owner's vectors with what all of them share taken out, and the turns beside each blended in."""

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from memrouter.models.memory import Matrix, Vector

NEIGHBOUR_SHARE = 0.5
"""Weight of the turn before and of the turn after beside a turn's own 1."""
PRIOR_VECTORS = 10
"""Vectors of zeros assumed beside the owner's, so that the mean of a few memories does not take their meaning out."""

_ROWS_AT_ONCE = 64  # a larger copy is too much for the processor's cache
_ROW_BYTES = 80  # of all numbers of a row

Values = NDArray[np.float64]


class VectorSpace:
    """Cosines after the owner's mean is subtracted; built once, never changed; any thread may ask it.

    Static token vectors share a large common part, and one owner's memories share their subjects: what is left
    without the mean tells them apart. Nothing of the size of the matrix is kept, only numbers a row.

    Args:
        matrix: Unit vectors of the memories, shape (n, dimension).
        neighbours: Shape (n, 2): places of the turn before and after each, see ``Provenance``; -1 for none.
        previous: That of the last ones of them, at least one, from which what is known is taken.

    Attributes:
        total: Sum of the vectors.
        beside: Shape (2, n): the same, first those before.
        dots: Shape (3, n): products of each memory with the turn before, with that after, and of these two; 0 for none.
    """

    def __init__(self, matrix: Matrix, neighbours: NDArray[np.int64], *, previous: "VectorSpace | None" = None) -> None:
        size = len(matrix)
        self.beside = np.ascontiguousarray(neighbours.T)
        if previous is None:
            self.total: Values = np.add.reduce(matrix, axis=0).astype(np.float64)
            self.dots = _pair_dots(matrix, *_pairs(self.beside))
        else:
            self.total = previous.total + np.add.reduce(matrix[: size - len(previous.beside[0])], axis=0)
            self.dots = self._dots_with(previous, matrix)
        self._mean: Vector = (self.total / (size + PRIOR_VECTORS)).astype(np.float32)
        self._mean_square = float(self._mean @ self._mean)
        # Each array is longer by one: the last stands for none beside.
        self._on_mean, self._spread = np.zeros(size + 1), np.full(size + 1, np.inf)
        self._on_mean[:-1] = np.vecdot(matrix, self._mean)
        # |v - mean|^2 of unit vectors; rows that equal the mean have no direction left and match nothing.
        self._spread[:-1] = np.sqrt(np.maximum(1 - 2 * self._on_mean[:-1] + self._mean_square, 1e-6))

    @property
    def nbytes(self) -> int:
        """Return an estimate of the memory it takes without the matrix."""
        return self.total.nbytes + self._mean.nbytes + _ROW_BYTES * self._spread.size

    def cosines(self, vector: Vector, raw: Values, visible: NDArray[np.bool_] | None) -> Values:
        """Return -1 to 1 for each memory: the question against the memory and the visible turns beside it.

        Args:
            vector: The question's unit vector.
            raw: Its plain cosines with the memories.
            visible: Which memories may count; None where all of them may.
        """
        on_mean = float(vector @ self._mean)
        length = math.sqrt(max(1 - 2 * on_mean + self._mean_square, 1e-6))
        own = (raw - self._on_mean[:-1] - on_mean + self._mean_square) / (self._spread[:-1] * length)
        lent = np.zeros(own.size + 1)  # the last: none beside
        lent[:-1] = own if visible is None else np.where(visible, own, 0.0)
        before, after = lent.take(self.beside)
        blended = own + NEIGHBOUR_SHARE * (before + after)
        lengths = self._lengths if visible is None else self._seeing(np.append(visible, False).take(self.beside))
        cosines: Values = np.minimum(np.maximum(blended / lengths, -1.0), 1.0)
        return cosines

    @cached_property
    def _lengths(self) -> Values:
        return self._seeing(self.beside != -1)

    def _seeing(self, seen: NDArray[np.bool_]) -> Values:
        """Return the length of each memory blended with the turns beside it, shape (2, n), that are seen."""
        square, share = self._mean_square, NEIGHBOUR_SHARE
        on_mean, by_spread = self._on_mean.take(self.beside), seen / self._spread.take(self.beside)
        own = (self.dots[:2] - self._on_mean[:-1] - on_mean + square) * by_spread / self._spread[:-1]
        across = (self.dots[2] - on_mean[0] - on_mean[1] + square) * by_spread[0] * by_spread[1]
        blended = 2 * share * own + share**2 * seen  # with each of the two alone
        lengths: Values = np.sqrt(np.maximum(1 + blended[0] + blended[1] + 2 * share**2 * across, 1e-6))
        return lengths

    def _dots_with(self, previous: "VectorSpace", matrix: Matrix) -> Values:
        """Return the products of each memory with those beside it, worked out only where those are not as before."""
        size, new = len(matrix), len(matrix) - len(previous.beside[0])
        dots, different = np.zeros((3, size)), self.beside != -1
        dots[:, new:] = previous.dots
        different[:, new:] = self.beside[:, new:] != previous.beside
        changed = (different[0] | different[1]).nonzero()[0]
        if changed.size:
            dots[:, changed] = _pair_dots(matrix, *(rows.take(changed, axis=1) for rows in _pairs(self.beside)))
        return dots


def _pairs(beside: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and others, each of shape (3, n): each with the one before, with that after, and these two; -1: none.

    Args:
        beside: As in ``VectorSpace``.
    """
    size = beside.shape[1]
    ones, others = np.empty((2, 3, size), dtype=np.int64)
    others[:2] = np.where(beside == -1, -1, beside + size + 1)
    ones[:2], ones[2], others[2] = np.arange(size), others[0], others[1]
    return ones, others


def _pair_dots(matrix: Matrix, ones: NDArray[np.int64], others: NDArray[np.int64]) -> Values:
    """Return the products of pairs of rows; 0 where one of the two is -1."""
    low = np.minimum(ones, others)
    dots, missing = np.zeros(low.shape), low >= 0
    if np.count_nonzero(missing) > len(matrix):  # of most rows, and most of them stand close: no copy of each is needed
        gaps = np.abs(others - ones)
        for gap in (1, 2):
            at = missing & (gaps == gap)
            dots[at] = _dots(matrix[gap:], matrix[:-gap])[low[at]]
            missing &= ~at
    left = np.flatnonzero(missing)
    for few in (left[start : start + _ROWS_AT_ONCE] for start in range(0, left.size, _ROWS_AT_ONCE)):
        dots.put(few, _dots(matrix.take(ones.take(few), axis=0), matrix.take(others.take(few), axis=0)))
    return dots


def _dots(ones: Matrix, others: Matrix) -> Values:
    dots: Values = np.vecdot(ones, others).astype(np.float64)
    return dots
