"""In which order the backends of one model are tried."""

import random
from collections.abc import Sequence

from memrouter.clock import Clock


class Balancer:
    """Orders backends by weight and recent failures; backends are named by their position.

    Args:
        weights: One weight for each backend; 0 stands for a reserve.
        cooldown: Seconds for which a backend that failed is tried after the others.
        clock: Tells when a failure is over.
        rng: Chooses among backends in proportion to their weights.
    """

    def __init__(self, weights: Sequence[int], *, cooldown: float, clock: Clock, rng: random.Random) -> None:
        self._weights = tuple(weights)
        self._cooldown = cooldown
        self._clock = clock
        self._rng = rng
        self._cool_until: dict[int, float] = {}

    def order(self) -> list[int]:
        """Return all backends, first choice first.

        Healthy ones come before those in cooldown, weighted ones before reserves; within such a group each place is
        drawn in proportion to the weights of those not yet placed.
        """
        if len(self._weights) == 1:
            return [0]
        now = self._clock.monotonic()
        return sorted(range(len(self._weights)), key=lambda index: self._rank(index, now))

    def mark_failed(self, index: int) -> None:
        """Put a backend into cooldown."""
        self._cool_until[index] = self._clock.monotonic() + self._cooldown

    def mark_ok(self, index: int) -> None:
        """End the cooldown of a backend that answered."""
        self._cool_until.pop(index, None)

    def cooling(self, index: int) -> float:
        """Return for how many more seconds a backend is tried after the others; 0 for a healthy one."""
        return max(0.0, self._cool_until.get(index, 0.0) - self._clock.monotonic())

    def _rank(self, index: int, now: float) -> tuple[bool, bool, float]:
        weight = self._weights[index]
        # The smallest of exponential draws belongs to each backend with a chance in proportion to its rate.
        return self._cool_until.get(index, now) > now, weight == 0, self._rng.expovariate(weight or 1)
