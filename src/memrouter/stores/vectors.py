"""What every store does with vectors: check them before they are kept, and score them against a query."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memrouter.errors import SchemaMismatch
from memrouter.models.memory import Matrix, Vector

UNIT_TOLERANCE = 1e-3
"""How far from 1 the length of a vector may be."""


def to_bytes(vector: Vector, *, dimension: int) -> bytes:
    """Return the little-endian float32 form of a vector that may be kept or searched with.

    Raises:
        SchemaMismatch: Not of this dimension, not finite, or not of unit length.
    """
    if vector.shape != (dimension,):
        raise SchemaMismatch(
            f"a vector has shape {vector.shape}, but this store keeps vectors of {dimension} numbers; "
            "use the embedding model that the store was made with"
        )
    wide = vector.astype(np.float64)
    length = math.sqrt(float(np.dot(wide, wide)))
    if not abs(length - 1.0) <= UNIT_TOLERANCE:  # also true for NaN
        raise SchemaMismatch("a vector is not finite or not of unit length; normalise it before it is stored")
    return np.ascontiguousarray(vector, dtype="<f4").tobytes()


def to_matrix(blobs: Sequence[bytes], *, dimension: int) -> Matrix:
    """Return the rows behind ``to_bytes`` forms, read-only, shape (len(blobs), dimension)."""
    matrix: Matrix = np.frombuffer(b"".join(blobs), dtype="<f4").reshape(len(blobs), dimension)
    return matrix


def vector_scores(matrix: Matrix, vector: Vector) -> NDArray[np.float64]:
    """Return (1 + cosine) / 2 of each row, clipped to 0..1.

    Equal rows get equal scores wherever they stand, so that ties are real ties. A BLAS product does not promise
    that: it sums the rows at the edge of a block in another order.
    """
    cosines = np.einsum("ij,j->i", matrix, vector.astype(np.float32, copy=False)).astype(np.float64)
    scores: NDArray[np.float64] = (1.0 + cosines) / 2.0
    return np.minimum(np.maximum(scores, 0.0, out=scores), 1.0, out=scores)


def require_model(model: str, *, embedding_model: str) -> None:
    """Check that a vector was made by the store's model.

    Raises:
        SchemaMismatch: It was not.
    """
    if model != embedding_model:
        raise SchemaMismatch(
            f"a vector was made by {model}, but this store keeps vectors of {embedding_model}; embed the text again"
        )
