"""What a kind of signal has to offer, and what it may ask of its surroundings."""

from collections.abc import Sequence
from typing import Protocol

from memrouter.models.turn import Turn


class SignalEvaluator(Protocol):
    """All configured rules of one kind of signal."""

    async def evaluate(self, turn: Turn) -> frozenset[str]:
        """Return the names that match this request; never raises for what a client sent."""
        ...


class TokenCounting(Protocol):
    """Counts tokens without blocking the event loop."""

    async def count_many(self, texts: Sequence[str]) -> Sequence[int]:
        """Return the number of tokens of each text."""
        ...
