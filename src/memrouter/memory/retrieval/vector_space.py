"""An owner's vectors with what all of them share taken out, and the turns beside each blended in."""

import numpy as np
from numpy.typing import NDArray

from memrouter.memory.retrieval.rows import places_of
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
        previous: That of other memories, from which what is known is taken.
        rows: For each memory its row in ``previous``; -1 for a new one.

    Attributes:
        neighbours: As given.
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
        self.neighbours = neighbours
        self._mean: Vector = (matrix.sum(axis=0) / (size + PRIOR_VECTORS)).astype(np.float32)
        self._on_mean = _dots(matrix, np.broadcast_to(self._mean, matrix.shape))
        self._mean_square = float(self._mean @ self._mean)
        # |v - mean|^2 of unit vectors; rows that equal the mean have no direction left and match nothing.
        self._spread = np.sqrt(np.maximum(1 - 2 * self._on_mean + self._mean_square, 1e-6))
        before, after = neighbours[:, 0], neighbours[:, 1]
        own = np.arange(size)
        pairs = ((own, before), (own, after), (before, after))
        known = self._dots_known(previous, rows)
        self.dots = np.stack([_pair_dots(matrix, *pair, known[row]) for row, pair in enumerate(pairs)])
        self._with_before, self._with_after, self._across = (
            self._centred(dots, *pair) for dots, pair in zip(self.dots, pairs, strict=True)
        )

    @property
    def nbytes(self) -> int:
        """Return an estimate of the memory it takes without the matrix and the neighbours."""
        rows = (self._mean, self._on_mean, self._spread, self.dots, self._with_before, self._with_after, self._across)
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
        before, after = self.neighbours[:, 0], self.neighbours[:, 1]
        has_before = (before >= 0) & visible[before]
        has_after = (after >= 0) & visible[after]
        share = NEIGHBOUR_SHARE
        blended = own + share * (np.where(has_before, own[before], 0) + np.where(has_after, own[after], 0))
        square = 1 + share**2 * (has_before.astype(np.float64) + has_after)
        square += 2 * share * (has_before * self._with_before + has_after * self._with_after)
        square += 2 * share**2 * (has_before & has_after) * self._across
        cosines: Values = (blended / np.sqrt(np.maximum(square, 1e-6))).clip(-1.0, 1.0)
        return cosines

    def _dots_known(self, previous: "VectorSpace | None", rows: NDArray[np.int64] | None) -> Values:
        """Return the products of each memory with those beside it as far as they are known; NaN elsewhere."""
        if previous is None or rows is None or not len(previous.neighbours):
            return np.full((3, len(self.neighbours)), np.nan)
        then = previous.neighbours[rows]
        moved = np.where(then >= 0, places_of(rows, len(previous.neighbours))[then], -1)
        same = (rows >= 0) & (moved == self.neighbours).all(axis=1)
        known: Values = np.where(same, previous.dots[:, rows], np.nan)
        return known

    def _centred(self, plain: Values, rows: NDArray[np.int64], others: NDArray[np.int64]) -> Values:
        """Return the centred cosine of pairs of rows; meaningless where one of the two is -1."""
        if not plain.size:
            return np.zeros(0)
        centred = plain - self._on_mean[rows] - self._on_mean[others] + self._mean_square
        cosines: Values = centred / (self._spread[rows] * self._spread[others])
        return cosines


def _pair_dots(matrix: Matrix, ones: NDArray[np.int64], others: NDArray[np.int64], known: Values) -> Values:
    """Return ``known`` with what is missing worked out; 0 where one of the two rows is -1."""
    missing = np.flatnonzero(np.isnan(known))
    known[missing] = 0
    missing = missing[(ones[missing] >= 0) & (others[missing] >= 0)]
    known[missing] = _dots(matrix[ones[missing]], matrix[others[missing]])
    return known


def _dots(ones: Matrix, others: Matrix) -> Values:
    dots: Values = np.einsum("ij,ij->i", ones, others).astype(np.float64)
    return dots
