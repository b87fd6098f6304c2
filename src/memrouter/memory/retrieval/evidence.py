"""How sure it is that a memory bears on a question at all, on the scale of vector scores. Pure."""

import math

import numpy as np
from numpy.typing import NDArray

COVERAGE = 0.145
"""Gain of a memory that holds, with the turn before it, every word of the question."""
STRANGE_NAMES = 0.09
"""Loss where the owner's memories know none of the names in the question."""
CROWD = 0.0314
"""Loss for each factor e in the number of memories, once they are many: some are alike by chance."""
FEW = 5
"""Number of memories that is not yet many."""
BASE = 0.098
"""Brings a typical question back to the scale of vectors."""
OWN_SHARE = 0.1
"""Share of a memory's own evidence in the second part of its score."""

Values = NDArray[np.float64]


def evidence(vectors: Values, coverage: Values, strange_names: float) -> Values:
    """Return the score of each candidate, 0 to 1; it never falls when a vector score or a coverage rises.

    What speaks for a memory is: vector score + COVERAGE * coverage + BASE - STRANGE_NAMES * strange names. The score is
    the lower of two things:

    - that alone: is this memory about the question?
    - OWN_SHARE of that and the rest from the memory that most speaks for, less CROWD * ln(1 + candidates / FEW): does
      the owner's memory know the subject at all? Where it does, a turn that answers in other words may come along.

    Args:
        vectors: Vector scores of all candidates, at least one.
        coverage: Share of the question's weight in words that each holds with the turn before it.
        strange_names: Share of the names in the question, 0 to 1, that no memory of the owner holds.
    """
    alone = vectors + COVERAGE * coverage + BASE - STRANGE_NAMES * strange_names
    together = (1 - OWN_SHARE) * alone.max() + OWN_SHARE * alone - CROWD * math.log1p(vectors.size / FEW)
    scores: Values = np.minimum(np.maximum(np.minimum(alone, together), 0.0), 1.0)
    return scores
