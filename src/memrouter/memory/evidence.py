"""How sure it is that a memory bears on a question at all, on the scale of vector scores. Pure."""

import math

import numpy as np
from numpy.typing import NDArray

COVERAGE = 0.145
"""Gain of a memory that holds, with the turn before it, every word of the question."""
UNKNOWN_NAMES = 0.06
"""Loss where the owner's memories know none of the names in the question."""
KNOWN_NAMES = 0.03
"""Gain where they know all of them."""
CROWD = 0.0235
"""Loss for each factor e in the number of memories: among many, some are alike by chance."""
BASE = 0.066
"""Brings a typical question back to the scale of vectors."""
OWN_SHARE = 0.1
"""Share of a memory's own evidence in the second part of its score."""

Values = NDArray[np.float64]


def evidence(vectors: Values, coverage: Values, known_names: float) -> Values:
    """Return the score of each candidate, 0 to 1; it never falls when a vector score or a coverage rises.

    What speaks for a memory is: vector score + COVERAGE * coverage + BASE, less or more for the names. The score is the
    lower of two things:

    - that alone: is this memory about the question?
    - OWN_SHARE of that and the rest from the memory that most speaks for, both less CROWD * ln(candidates): does the
      owner's memory know the subject at all? Where it does, a turn that answers in other words may come along.

    Args:
        vectors: Vector scores of all candidates, at least one.
        coverage: Share of the question's weight in words that each holds with the turn before it.
        known_names: -1 (all names in the question are strange) to 1 (all are known); 0 without names.
    """
    names = UNKNOWN_NAMES * min(known_names, 0.0) + KNOWN_NAMES * max(known_names, 0.0)
    alone = vectors + COVERAGE * coverage + names + BASE
    together = (1 - OWN_SHARE) * alone.max() + OWN_SHARE * alone - CROWD * math.log(vectors.size)
    scores: Values = np.minimum(alone, together).clip(0.0, 1.0)
    return scores
