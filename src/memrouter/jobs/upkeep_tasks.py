"""Pruning and consolidation as scheduled work."""

import logging
from collections.abc import Callable
from random import Random

from memrouter.clock import Clock
from memrouter.config.memory import MemorySettings
from memrouter.jobs.schedule import Run, Schedule, ScheduleObserver, Task
from memrouter.memory.upkeep.consolidation import Consolidation
from memrouter.memory.upkeep.pruning import Pruning
from memrouter.memory.upkeep.upkeep import Upkeep
from memrouter.stores.state import StateStore

logger = logging.getLogger(__name__)


def upkeep_schedule(
    upkeep: Upkeep,
    settings: MemorySettings,
    *,
    state: StateStore,
    busy: Callable[[], bool],
    clock: Clock,
    rng: Random,
    observer: ScheduleObserver,
) -> Schedule:
    """Return the schedule that the settings ask for, not started.

    Args:
        upkeep: Does the work.
        settings: Intervals and bounds.
        state: Where the fleet keeps leases and notes.
        busy: Whether requests are being served.
        clock: Tells the time.
        rng: Names this router, and spreads the looks of several.
        observer: Counts.
    """
    pace, consolidation = settings.retention.owners_per_second, settings.consolidation
    tasks = [Task("prune", settings.retention.interval, pace, _Prune(upkeep.pruning))]
    if consolidation.enabled:
        work = _Consolidate(upkeep.consolidation, most=consolidation.max_groups)
        tasks.append(Task("consolidate", consolidation.interval, pace, work))
    holder = f"{rng.getrandbits(64):016x}"
    return Schedule(tuple(tasks), state=state, holder=holder, busy=busy, clock=clock, rng=rng, observer=observer)


class _Prune:
    """Looks through everybody's memories for what has to go."""

    def __init__(self, pruning: Pruning) -> None:
        self._pruning = pruning

    async def __call__(self, run: Run, position: str | None) -> bool:
        report = await self._pruning.run(pace=run, after=position, grace=True)
        facts = {"users": report.users, "memories": report.memories, "removed": report.removed.total()}
        logger.info("memories were pruned", extra=facts)
        return report.finished


class _Consolidate:
    """Looks through everybody's memories for what says the same."""

    def __init__(self, consolidation: Consolidation, *, most: int) -> None:
        self._consolidation = consolidation
        self._most = most

    async def __call__(self, run: Run, position: str | None) -> bool:
        report = await self._consolidation.run(pace=run, after=position, most=self._most)
        facts = {"users": report.users, "memories": report.memories, "groups": len(report.mergers)}
        logger.info("memories were consolidated", extra=facts)
        return report.finished
