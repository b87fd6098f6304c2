"""Scheduled upkeep of routers that share a store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest
import yaml

from memrouter.config.load import load_settings
from memrouter.jobs.schedule import Schedule
from memrouter.jobs.upkeep_tasks import upkeep_schedule
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.models.memory import Scope
from memrouter.runtime import Runtime
from memrouter.testing.clock import ManualClock

HOUR, DAY = 3_600_000, 86_400_000
ALICE = Scope("alice")
REX = ("I have a small dog called Rex", "I have a small brown dog called Rex")


class Fleet:
    """Routers on one SQLite file that share a clock; their schedules are looked at when a test says so."""

    def __init__(self, runtimes: list[Runtime], clock: ManualClock) -> None:
        self.runtimes = runtimes
        self.clock = clock
        self.schedules = [self._schedule(runtime) for runtime in runtimes]

    def _schedule(self, runtime: Runtime) -> Schedule:
        assert runtime.upkeep is not None
        assert runtime.state is not None
        return upkeep_schedule(
            runtime.upkeep,
            runtime.settings.memory,
            state=runtime.state,
            busy=lambda: runtime.traffic.busy,
            clock=self.clock,
            rng=Random(1),
            observer=runtime.metrics,
        )

    async def tick(self) -> None:
        await asyncio.gather(*(schedule.tick() for schedule in self.schedules))

    def metric(self, line: str) -> list[float]:
        """Return what each router says of a metric with its labels."""
        texts = [runtime.metrics.render().decode() for runtime in self.runtimes]
        return [
            float(next((row.rpartition(" ")[2] for row in text.splitlines() if row.startswith(f"{line} ")), "0"))
            for text in texts
        ]


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    file = tmp_path / "router.yaml"
    memory = {"backend": "sqlite", "embedding_model": "hash", "sqlite": {"path": str(tmp_path / "memories.db")}}
    file.write_text(yaml.safe_dump({"version": "v0.3", "global": {"stores": {"memory": memory}}}))
    clock = ManualClock()
    async with AsyncExitStack() as stack:
        runtimes = []
        for number in range(2):
            runtime = await Runtime.open(load_settings(file, env={}).settings, env={}, clock=clock, rng=Random(number))
            stack.push_async_callback(runtime.aclose)
            runtimes.append(runtime)
        yield Fleet(runtimes, clock)


async def total(fleet: Fleet) -> int:
    service = fleet.runtimes[0].memory
    assert service is not None
    return (await service.stats(ALICE)).total


async def test_two_routers_merge_and_prune_once(fleet: Fleet) -> None:
    service = fleet.runtimes[0].memory
    assert service is not None
    await service.remember(ALICE, [MemoryDraft(text) for text in REX])
    await fleet.tick()
    assert await total(fleet) == 2
    fleet.clock.ms += HOUR
    await fleet.tick()
    assert await total(fleet) == 1
    runs = 'memrouter_upkeep_runs_total{outcome="finished",task="%s"}'
    assert sum(fleet.metric(runs % "consolidate")) == 1
    assert sum(fleet.metric(runs % "prune")) == 1
    assert sum(fleet.metric('memrouter_consolidation_groups_total{outcome="merged"}')) == 1
    assert fleet.metric('memrouter_upkeep_lease{task="prune"}') == [0, 0]
    fleet.clock.ms += 57 * DAY
    await fleet.tick()
    assert await total(fleet) == 0
    assert sum(fleet.metric('memrouter_memories_pruned_total{rule="faded"}')) == 1
    assert sum(fleet.metric('memrouter_memories_pruned_total{rule="replaced"}')) == 2


async def test_a_router_that_serves_starts_upkeep_once_and_stops_it_at_shutdown(fleet: Fleet) -> None:
    runtime = fleet.runtimes[0]
    before = asyncio.all_tasks()
    runtime.start_upkeep()
    runtime.start_upkeep()
    assert len(asyncio.all_tasks() - before) == 1
    runtime.begin_shutdown()
    await runtime.aclose()
    assert not asyncio.all_tasks() - before
