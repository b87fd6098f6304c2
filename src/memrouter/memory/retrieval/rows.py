"""Rows of a corpus before and after a change."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def places_of(rows: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return the place then of each of ``size`` rows now, -1 for one that is gone.

    Args:
        rows: For each row then, the row now that it was; -1 for a new one.
        size: Number of rows now.
    """
    places = np.full(size + 1, -1, dtype=np.int64)  # one more takes what is new
    places[rows] = np.arange(rows.size)
    return places[:size]


def merged(held: NDArray[Number], rows: NDArray[np.int64], fresh: NDArray[Number]) -> NDArray[Number]:
    """Return a column then: the numbers that were held, and ``fresh`` ones in the new rows, in their order.

    Args:
        held: The column now, at least one row.
        rows: As for ``places_of``.
        fresh: One number a new row.
    """
    column: NDArray[Number] = held.take(rows)
    column[rows < 0] = fresh
    return column
