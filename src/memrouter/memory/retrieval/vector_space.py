"""An owner's vectors with what all of them share taken out, and the turns beside each blended in."""

import numpy as np
from numpy.typing import NDArray

from memrouter.models.memory import Matrix, Vector

NEIGHBOUR_SHARE = 0.5
"""Weight of the turn before and of the turn after beside a turn's own 1."""
PRIOR_VECTORS = 10
"""Vectors of zeros assumed beside the owner's, so that the mean of a few memories does not take their meaning out."""

Values = NDArray[np.float64]


class VectorSpace:
    """Cosines after the owner's mean is subtracted; built once, never changed; any thread may ask it.

    Static token vectors share a large common part, and one owner's memories share their subjects: what is left
    without the mean tells them apart. Nothing of the size of the matrix is kept, only numbers a row.

    Args:
        matrix: Unit vectors of the memories, shape (n, dimension).
        neighbours: Shape (n, 2): rows of the turn before and after each; -1 for none.
    """

    def __init__(self, matrix: Matrix, neighbours: NDArray[np.int64]) -> None:
        size = len(matrix)
        self._neighbours = neighbours
        self._mean: Vector = (matrix.sum(axis=0) / (size + PRIOR_VECTORS)).astype(np.float32)
        self._on_mean = _dots(matrix, np.broadcast_to(self._mean, matrix.shape))
        self._mean_square = float(self._mean @ self._mean)
        # |v - mean|^2 of unit vectors; rows that equal the mean have no direction left and match nothing.
        self._spread = np.sqrt(np.maximum(1 - 2 * self._on_mean + self._mean_square, 1e-6))
        before, after = neighbours[:, 0], neighbours[:, 1]
        self._with_before = self._centred(matrix, np.arange(size), before)
        self._with_after = self._centred(matrix, np.arange(size), after)
        self._across = self._centred(matrix, before, after)

    @property
    def nbytes(self) -> int:
        """Return an estimate of the memory it takes without the matrix and the neighbours."""
        rows = (self._mean, self._on_mean, self._spread, self._with_before, self._with_after, self._across)
        return sum(array.nbytes for array in rows)

    def cosines(self, vector: Vector, raw: Values, visible: NDArray[np.bool_]) -> Values:
        """Return -1 to 1 for each memory: the question against the memory and the visible turns beside it.

        Args:
            vector: The question's unit vector.
            raw: Its plain cosines with the memories.
            visible: Which memories may count.
        """
        on_mean = float(vector @ self._mean)
        length = np.sqrt(max(1 - 2 * on_mean + self._mean_square, 1e-6))
        own = (raw - self._on_mean - on_mean + self._mean_square) / (self._spread * length)
        before, after = self._neighbours[:, 0], self._neighbours[:, 1]
        has_before = (before >= 0) & visible[before]
        has_after = (after >= 0) & visible[after]
        share = NEIGHBOUR_SHARE
        blended = own + share * (np.where(has_before, own[before], 0) + np.where(has_after, own[after], 0))
        square = 1 + share**2 * (has_before.astype(np.float64) + has_after)
        square += 2 * share * (has_before * self._with_before + has_after * self._with_after)
        square += 2 * share**2 * (has_before & has_after) * self._across
        cosines: Values = (blended / np.sqrt(np.maximum(square, 1e-6))).clip(-1.0, 1.0)
        return cosines

    def _centred(self, matrix: Matrix, rows: NDArray[np.int64], others: NDArray[np.int64]) -> Values:
        """Return the centred cosine of pairs of rows; meaningless where one of the two is -1."""
        if not len(matrix):
            return np.zeros(0)
        plain = _dots(matrix[rows], matrix[others])
        centred = plain - self._on_mean[rows] - self._on_mean[others] + self._mean_square
        cosines: Values = centred / (self._spread[rows] * self._spread[others])
        return cosines


def _dots(ones: Matrix, others: Matrix) -> Values:
    dots: Values = np.einsum("ij,ij->i", ones, others).astype(np.float64)
    return dots
