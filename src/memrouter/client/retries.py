"""Whether and when a request is sent again. Pure."""

from dataclasses import dataclass
from random import Random
from typing import Final

LEAST_PAUSE_SECONDS: Final = 0.02
REFUSED: Final = frozenset({429, 503})
"""Statuses with which a router asks to come back."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How a client tries again.

    Attributes:
        attempts: How often a request is sent at most; 1 never sends it again.
        first_seconds: Longest pause before the second try; twice as long before each further one.
        most_seconds: Longest pause of all. Where the router asks for a longer one, the error is raised instead.
    """

    attempts: int = 4
    first_seconds: float = 0.25
    most_seconds: float = 8.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            msg = "attempts must be at least 1"
            raise ValueError(msg)
        if not 0 <= self.first_seconds <= self.most_seconds:
            msg = "first_seconds must lie between 0 and most_seconds"
            raise ValueError(msg)

    def pause(self, tried: int, *, asked: float | None, rng: Random) -> float | None:
        """Return the seconds to wait before the next try; None where there is to be none.

        Args:
            tried: How often it was sent already, from 1.
            asked: What the router asks for in ``retry-after``; None where it asks for nothing.
            rng: Spreads the tries of clients that failed together.
        """
        if tried >= self.attempts or (asked is not None and asked > self.most_seconds):
            return None
        longest = min(self.most_seconds, self.first_seconds * 2.0 ** min(tried - 1, 32))
        spread = max(LEAST_PAUSE_SECONDS, longest * rng.random())
        return spread if asked is None else min(self.most_seconds, asked + spread)
