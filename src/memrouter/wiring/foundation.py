"""What every part of a router is built on."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random

from memrouter.clock import Clock
from memrouter.config.settings import Settings
from memrouter.observability.metrics import Metrics
from memrouter.observability.tracing import Tracer


@dataclass(frozen=True, slots=True)
class Foundation:
    """What is there before anything is opened.

    Attributes:
        settings: What to build.
        metrics: Everything that is counted.
        tracer: Tells where requests spent their time.
        clock: Tells the time.
        rng: Source of randomness.
        closing: Closes what was opened, the last first.
    """

    settings: Settings
    metrics: Metrics
    tracer: Tracer
    clock: Clock
    rng: Random
    closing: AsyncExitStack
