"""How long this process has known entities of other routers. Clocks of two routers are never compared."""

from typing import Final

from memrouter.clock import Clock

MOST: Final = 1000
"""Entities that are remembered; the one that was seen first goes first."""


class Sightings:
    """Remembers when each entity was first seen.

    Args:
        clock: Measures the time since then.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._first: dict[str, float] = {}

    def seconds(self, key: str) -> float:
        """Return how long ago an entity was first seen; 0 where that is now."""
        now = self._clock.monotonic()
        since = self._first.setdefault(key, now)
        if len(self._first) > MOST:
            del self._first[next(iter(self._first))]
        return now - since
