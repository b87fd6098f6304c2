"""Confidence intervals by resampling questions. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDS = 1000
_TAILS = (0.025, 0.975)

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the bounds of its 95 % confidence interval."""

    mean: float
    low: float
    high: float


class Resamples:
    """The same draws for every figure, so that differences between arms are paired.

    Each draw takes, within every stratum, as many questions as the stratum has, with replacement. The intervals speak
    of other questions about the same conversations, not of other conversations: a handful of conversations is too few
    to draw from.

    Args:
        strata: Stratum of each question, such as the number of its conversation.
        seed: Draws are the same for the same seed.
        rounds: Number of draws.
    """

    def __init__(self, strata: Sequence[int], *, seed: int, rounds: int = ROUNDS) -> None:
        rng = np.random.default_rng(seed)
        labels = np.asarray(strata)
        self._weights = np.zeros((rounds, labels.size))
        for label in np.unique(labels):
            places = np.flatnonzero(labels == label)
            self._weights[:, places] = rng.multinomial(places.size, np.full(places.size, 1 / places.size), size=rounds)

    def interval(self, values: Values, where: NDArray[np.bool_] | None = None) -> Interval:
        """Return the mean of ``values``, one a question, with its interval; zeros where there is no question.

        Args:
            values: Of all questions, in the order of ``strata``.
            where: Which questions count; None for all.
        """
        chosen = np.ones(values.size, dtype=np.bool_) if where is None else where
        if not chosen.any():
            return Interval(0.0, 0.0, 0.0)
        weights = self._weights[:, chosen]
        sizes = weights.sum(axis=1)
        means = (weights @ values[chosen])[sizes > 0] / sizes[sizes > 0]
        mean = float(values[chosen].mean())
        low, high = (float(bound) for bound in np.quantile(means, _TAILS)) if means.size else (mean, mean)
        return Interval(mean, low, high)
