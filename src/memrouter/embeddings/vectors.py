"""What goes into an embedder and what comes out: bounded text, rows of unit length."""

import numpy as np
from numpy.typing import NDArray

from memrouter.models.memory import MAX_CONTENT_BYTES, Matrix, cut_to_bytes


def without_surrogates(text: str) -> str:
    """Return ``text`` with every lone surrogate, which has no UTF-8 form, replaced by ``?``."""
    return text.encode("utf-8", "replace").decode()


def embeddable(text: str) -> str:
    """Return the part of ``text`` that embedders look at.

    At most the first 16,384 bytes of UTF-8, the size of the largest memory, so that a hostile text costs no more
    than a long memory; without lone surrogates.
    """
    cut = text[:MAX_CONTENT_BYTES]
    return cut if cut.isascii() else cut_to_bytes(without_surrogates(cut))


def unit_rows(rows: NDArray[np.floating]) -> Matrix:
    """Return ``rows`` as float32 of unit length; a row of zeros becomes the first basis vector.

    Args:
        rows: Finite numbers within the range of float32, shape (n, dimension).
    """
    wide = rows.astype(np.float32, copy=False).astype(np.float64)
    lengths = np.sqrt(np.add.reduce(wide * wide, axis=1, keepdims=True))
    if not lengths.all():
        none = lengths[:, 0] == 0
        wide[none, 0] = lengths[none] = 1.0
    matrix: Matrix = (wide / lengths).astype(np.float32)
    return matrix
