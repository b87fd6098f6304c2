"""Samples of several ways to do the same, taken in turns so that whatever slows the machine slows all of them."""

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float64]
"""Seconds that single operations took."""

Operation: TypeAlias = Callable[[int], Awaitable[object]]
"""One thing to measure; given the number of the sample, which is never the same twice."""

Block: TypeAlias = Callable[[int, int], Awaitable[Sequence[float]]]
"""Does a thing several times: given the number of the first sample and how many, returns the seconds of each."""

LEAST = 3
"""Fewest operations of a case in a round, and what each case does first of all."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds of a run.

    Attributes:
        median: Of the rounds.
        low: Least round.
        high: Greatest round.
        rounds: How many there were.
    """

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(float(np.median(values)), min(values), max(values), len(values))

    def times(self, factor: float) -> "Spread":
        return Spread(self.median * factor, self.low * factor, self.high * factor, self.rounds)


def quotient(upper: Sequence[float], lower: Sequence[float]) -> Spread:
    """Return how many times as great the first is, round by round: what slows a round slows both."""
    return Spread.of([above / below for above, below in zip(upper, lower, strict=True)])


def timed(operation: Operation) -> Block:
    """Return the block that does one operation after the other."""

    async def block(first: int, number: int) -> Sequence[float]:
        seconds = []
        for sample in range(first, first + number):
            begun = time.perf_counter()
            await operation(sample)
            seconds.append(time.perf_counter() - begun)
        return seconds

    return block


@dataclass(slots=True)
class Case:
    """One way to do it.

    Attributes:
        key: Short name for figures.
        name: Shown in tables.
        block: Does it.
        foreign: Whether it is another product: its failure is shown and stops nothing.
        rounds: What each operation took, by round.
        failure: Why it failed; None while it works.
    """

    key: str
    name: str
    block: Block
    foreign: bool = False
    rounds: list[Samples] = field(default_factory=list)
    failure: str | None = None

    def by_round(self, share: float) -> list[float]:
        """Return a quantile of each round, in seconds."""
        return [float(np.quantile(samples, share)) for samples in self.rounds]

    def quantile(self, share: float) -> Spread:
        return Spread.of(self.by_round(share))

    def rate(self, per_operation: int = 1) -> list[float]:
        """Return how much each round did in a second."""
        return [per_operation * len(samples) / float(samples.sum()) for samples in self.rounds]


async def measure(
    cases: Sequence[Case], *, rounds: int, per_round: int, warm_up: int, most_seconds: float = 60.0
) -> None:
    """Do a block of every case once a round, in an order that changes with the round.

    Args:
        cases: What to measure.
        rounds: How many rounds count.
        per_round: Operations of each case in a round.
        warm_up: Operations of each case beforehand, which do not count.
        most_seconds: About how long a block may take: a slow case does fewer operations, but at least LEAST.
    """
    rng, first = random.Random(0), 0
    pace = [0.0] * len(cases)
    for number in range(-2, rounds):
        wanted = {-2: LEAST, -1: warm_up}.get(number, per_round)
        for place in rng.sample(range(len(cases)), len(cases)):
            case = cases[place]
            if case.failure is not None or wanted == 0:
                continue
            affordable = round(most_seconds / pace[place]) if pace[place] else wanted
            samples = await _block(case, first, min(wanted, max(LEAST, affordable)))
            if samples is None:
                continue
            pace[place] = float(samples.mean())
            if number >= 0:
                case.rounds.append(samples)
        first += wanted


async def _block(case: Case, first: int, number: int) -> Samples | None:
    """Return what the operations took; None where another product failed, which the case then tells."""
    try:
        return np.asarray(await case.block(first, number), dtype=np.float64)
    except Exception as error:
        if not case.foreign:
            raise
        case.failure = f"{type(error).__name__}: {error}"
        case.rounds.clear()
        return None
