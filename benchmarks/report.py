"""Samples of several ways to do the same, and the table that shows them beside the first."""

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from rich.console import Console
from rich.table import Table

Operation: TypeAlias = Callable[[int], Awaitable[object]]
"""One thing to measure; given the number of the round."""


@dataclass(slots=True)
class Case:
    """One way to do it.

    Attributes:
        name: Shown in the table.
        operation: Does it once.
        target: Bound on the ratio to the first case; None for no bound.
        seconds: What each round took.
    """

    name: str
    operation: Operation
    target: float | None = None
    seconds: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Return a quantile of the samples in seconds."""
        return float(np.quantile(self.seconds, share))


async def measure(cases: Sequence[Case], *, rounds: int, warm_up: int) -> None:
    """Do every case once a round, so that whatever slows the machine slows all of them.

    Every round has an order of its own, since a case finds the caches as the one before it left them.
    """
    rng = random.Random(0)
    for number in range(-warm_up, rounds):
        for case in rng.sample(cases, len(cases)):
            begun = time.perf_counter()
            await case.operation(number)
            if number >= 0:
                case.seconds.append(time.perf_counter() - begun)


def show(console: Console, title: str, cases: Sequence[Case], *, per_round: int = 1) -> bool:
    """Print a table; return whether every target is kept.

    Args:
        console: Where to print.
        title: What is compared.
        cases: The first one is what the others are held against.
        per_round: Things done in one round. With more than one, the table is of things per second and a target is
            the least ratio; else it is of milliseconds and a target is the highest ratio.
    """
    kind: Literal["rate", "time"] = "rate" if per_round > 1 else "time"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in ("per second", "ratio", "target") if kind == "rate" else ("p50 ms", "p95 ms", "ratio", "target"):
        table.add_column(heading, justify="right")
    base, kept = cases[0].quantile(0.5), True
    for case in cases:
        middle = case.quantile(0.5)
        ratio = base / middle if kind == "rate" else middle / base
        held = case.target is None or (ratio >= case.target if kind == "rate" else ratio <= case.target)
        kept &= held
        sign = ">=" if kind == "rate" else "<="
        target = "" if case.target is None else f"{sign} {case.target:.2f} {'kept' if held else 'MISSED'}"
        if kind == "rate":
            figures = [f"{per_round / middle:,.0f}"]
        else:
            figures = [f"{middle * 1000:.3f}", f"{case.quantile(0.95) * 1000:.3f}"]
        table.add_row(case.name, *figures, f"{ratio:.2f}", target)
    console.print(table)
    return kept
