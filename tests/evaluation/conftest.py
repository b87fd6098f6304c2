"""A bench on a temporary SQLite file, and the bundled conversations."""

import random
from collections.abc import AsyncIterator

import pytest

from memrouter.clock import SystemClock
from memrouter.config.memory import MemorySettings
from memrouter.evaluation.bench import Bench, open_bench
from memrouter.evaluation.conversations import DataSet
from memrouter.evaluation.locomo import read_sample


@pytest.fixture(scope="session")
def sample() -> DataSet:
    return read_sample()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    opening = open_bench(MemorySettings(), temporary=True, env={}, clock=SystemClock(), rng=random.SystemRandom())
    async with opening as opened:
        yield opened
