"""An owner's vectors with what all of them share taken out, and the turns beside each blended in."""

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from memrouter.memory.retrieval.rows import places_of
from memrouter.models.memory import Matrix, Vector

NEIGHBOUR_SHARE = 0.5
"""Weight of the turn before and of the turn after beside a turn's own 1."""
PRIOR_VECTORS = 10
"""Vectors of zeros assumed beside the owner's, so that the mean of a few memories does not take their meaning out."""

_ROWS_AT_ONCE = 64  # a larger copy is too much for the processor's cache

Values = NDArray[np.float64]


class VectorSpace:
    """Cosines after the owner's mean is subtracted; built once, never changed; any thread may ask it.

    Static token vectors share a large common part, and one owner's memories share their subjects: what is left
    without the mean tells them apart. Nothing of the size of the matrix is kept, only numbers a row.

    Args:
        matrix: Unit vectors of the memories, shape (n, dimension).
        neighbours: Shape (n, 2): rows of the turn before and after each; -1 for none.
        previous: That of other memories, from which what is known is taken.
        rows: For each memory its row in ``previous``; -1 for a new one.

    Attributes:
        beside: Shape (2, n): the same, first those before.
        dots: Shape (3, n): products of each memory with the turn before, with that after, and of these two; 0 for none.
    """

    def __init__(
        self,
        matrix: Matrix,
        neighbours: NDArray[np.int64],
        *,
        previous: "VectorSpace | None" = None,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        size = len(matrix)
        self.beside = np.ascontiguousarray(neighbours.T)
        self._mean: Vector = (np.add.reduce(matrix, axis=0) / (size + PRIOR_VECTORS)).astype(np.float32)
        self._on_mean: Values = np.einsum("ij,j->i", matrix, self._mean).astype(np.float64)
        self._mean_square = float(self._mean @ self._mean)
        # |v - mean|^2 of unit vectors; rows that equal the mean have no direction left and match nothing.
        self._spread = np.sqrt(np.maximum(1 - 2 * self._on_mean + self._mean_square, 1e-6))
        ones, others = np.empty((2, 3, size), dtype=np.int64)
        ones[:2], ones[2] = np.arange(size), self.beside[0]
        others[:2], others[2] = self.beside, self.beside[1]
        self.dots = _pair_dots(matrix, ones, others, self._dots_known(previous, rows))
        self._with_before, self._with_after, self._across = self._centred(self.dots, ones, others)

    @property
    def nbytes(self) -> int:
        """Return an estimate of the memory it takes without the matrix."""
        rows = (
            self.beside,
            self._mean,
            self._on_mean,
            self._spread,
            self.dots,
            self._with_before,
            self._with_after,
            self._across,
        )
        return sum(array.nbytes for array in rows)

    def cosines(self, vector: Vector, raw: Values, visible: NDArray[np.bool_] | None) -> Values:
        """Return -1 to 1 for each memory: the question against the memory and the visible turns beside it.

        Args:
            vector: The question's unit vector.
            raw: Its plain cosines with the memories.
            visible: Which memories may count; None where all of them may.
        """
        on_mean = float(vector @ self._mean)
        length = math.sqrt(max(1 - 2 * on_mean + self._mean_square, 1e-6))
        own = (raw - self._on_mean - on_mean + self._mean_square) / (self._spread * length)
        lent = np.zeros(own.size + 1)  # the last: -1, none beside
        lent[:-1] = own if visible is None else np.where(visible, own, 0.0)
        before, after = lent.take(self.beside)
        blended = own + NEIGHBOUR_SHARE * (before + after)
        lengths = self._lengths if visible is None else self._seeing(np.append(visible, False).take(self.beside))
        cosines: Values = np.minimum(np.maximum(blended / lengths, -1.0), 1.0)
        return cosines

    @cached_property
    def _lengths(self) -> Values:
        return self._seeing(self.beside >= 0)

    def _seeing(self, seen: NDArray[np.bool_]) -> Values:
        """Return the length of each memory blended with the turns beside it, shape (2, n), that are seen."""
        share = NEIGHBOUR_SHARE
        has_before, has_after = seen
        square = 1 + share**2 * (has_before.astype(np.float64) + has_after)
        square += 2 * share * (has_before * self._with_before + has_after * self._with_after)
        square += 2 * share**2 * (has_before & has_after) * self._across
        lengths: Values = np.sqrt(np.maximum(square, 1e-6))
        return lengths

    def _dots_known(self, previous: "VectorSpace | None", rows: NDArray[np.int64] | None) -> Values:
        """Return the products of each memory with those beside it as far as they are known; NaN elsewhere."""
        then = 0 if previous is None else previous.beside.shape[1]
        if previous is None or rows is None or not then:
            return np.full((3, self.beside.shape[1]), np.nan)
        places = places_of(rows, then + 1)  # the last: -1, none beside
        moved = places.take(previous.beside).take(rows, axis=1)
        known: Values = previous.dots.take(rows, axis=1)
        known[:, (rows < 0) | (moved != self.beside).any(axis=0)] = np.nan
        return known

    def _centred(self, plain: Values, rows: NDArray[np.int64], others: NDArray[np.int64]) -> Values:
        """Return the centred cosine of pairs of rows; meaningless where one of the two is -1."""
        if not plain.size:
            return plain
        centred = plain - self._on_mean.take(rows) - self._on_mean.take(others) + self._mean_square
        cosines: Values = centred / (self._spread.take(rows) * self._spread.take(others))
        return cosines


def _pair_dots(matrix: Matrix, ones: NDArray[np.int64], others: NDArray[np.int64], known: Values) -> Values:
    """Return ``known`` with what is missing worked out; 0 where one of the two rows is -1."""
    low = np.minimum(ones, others)
    missing = np.isnan(known)
    known[missing] = 0
    missing &= low >= 0
    if np.count_nonzero(missing) > len(matrix):  # of most rows, and most of them stand close: no copy of each is needed
        gaps = np.abs(others - ones)
        for gap in (1, 2):
            at = missing & (gaps == gap)
            known[at] = _dots(matrix[gap:], matrix[:-gap])[low[at]]
            missing &= ~at
    left = np.flatnonzero(missing)
    for few in (left[start : start + _ROWS_AT_ONCE] for start in range(0, left.size, _ROWS_AT_ONCE)):
        known.put(few, _dots(matrix.take(ones.take(few), axis=0), matrix.take(others.take(few), axis=0)))
    return known


def _dots(ones: Matrix, others: Matrix) -> Values:
    dots: Values = np.einsum("ij,ij->i", ones, others).astype(np.float64)
    return dots
