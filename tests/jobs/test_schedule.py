"""What is due is done once in a fleet, and goes on where it stopped."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.errors import InvalidRequest, StoreUnavailable
from memrouter.jobs.lease import LEASE_MS
from memrouter.jobs.schedule import LONGEST_RUN, RETRY_SECONDS, SPACE, Run, Schedule, Task
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.state import LEASES, StateStore
from memrouter.testing.clock import ManualClock

HOUR = 3_600_000
Work = Callable[[Run, str | None], Awaitable[bool]]


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[StateStore]:
    settings = SqliteSettings(path=str(tmp_path / "memories.db"), synchronous="normal")
    store = await SqliteStore.open(settings, dimension=4, embedding_model="test")
    yield store.state
    await store.aclose()


class Runs:
    """Satisfies ``ScheduleObserver``."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.held = 0
        self.overdue = -1.0

    def upkeep_run(self, task: str, outcome: str, seconds: float) -> None:
        self.outcomes[outcome] += 1

    def upkeep_lease(self, task: str, *, held: bool) -> None:
        self.held += 1 if held else -1

    def upkeep_overdue(self, task: str, seconds: float) -> None:
        self.overdue = seconds


class Fleet:
    """Routers that share a store and a clock."""

    def __init__(self, state: StateStore, work: Work) -> None:
        self.state = state
        self.work = work
        self.clock = ManualClock()
        self.runs = Runs()
        self.busy = False

    def router(self, *, interval: float = 3600, per_second: float = 1e9) -> Schedule:
        return Schedule(
            (Task("work", interval, per_second, self.work),),
            state=self.state,
            holder="router",
            busy=lambda: self.busy,
            clock=self.clock,
            rng=Random(1),
            observer=self.runs,
        )


class Walk:
    """Work over a few users, each at a position."""

    def __init__(self, users: int = 3) -> None:
        self.users = users
        self.seen: list[int] = []
        self.begun_at: list[str | None] = []
        self.before_each: Callable[[int], Awaitable[object]] | None = None

    async def __call__(self, run: Run, position: str | None) -> bool:
        self.begun_at.append(position)
        for user in range(int(position or 0), self.users):
            if not await run.may_begin(str(user) if user else None):
                return False
            if self.before_each is not None:
                await self.before_each(user)
            self.seen.append(user)
            await run.rest()
        return True


async def test_a_task_is_due_one_interval_after_it_is_first_seen_and_then_again(state: StateStore) -> None:
    walk = Walk()
    fleet = Fleet(state, walk)
    router = fleet.router()
    for hours, done in ((0, 0), (0.9, 0), (1.0, 1), (1.9, 1), (2.0, 2)):
        fleet.clock.ms = ManualClock().ms + round(hours * HOUR)
        await router.tick()
        assert len(walk.begun_at) == done
    assert walk.seen == [0, 1, 2] * 2
    assert fleet.runs.outcomes == {"finished": 2}
    assert fleet.runs.held == 0
    assert [entry async for entry in state.entries(LEASES, now=fleet.clock.ms)] == []


async def test_a_task_that_nobody_does_is_overdue_until_it_is_done(state: StateStore) -> None:
    fleet = Fleet(state, Walk())
    await fleet.router().tick()
    assert fleet.runs.overdue == 0
    fleet.clock.ms += HOUR + 90_000
    watcher = Fleet(state, Walk())
    watcher.clock.ms = fleet.clock.ms
    fleet.work = failing = Walk()

    async def fail(user: int) -> None:
        raise StoreUnavailable("down")

    failing.before_each = fail
    await fleet.router().tick()
    assert fleet.runs.overdue == 90
    await watcher.router(interval=2 * 3600).tick()
    assert watcher.runs.overdue == 0
    fleet.clock.ms += HOUR
    failing.before_each = None
    await fleet.router().tick()
    assert fleet.runs.outcomes["finished"] == 1
    assert fleet.runs.overdue == 0


async def test_of_many_routers_one_does_the_work(state: StateStore) -> None:
    walk = Walk()
    fleet = Fleet(state, walk)
    routers = [fleet.router() for _ in range(5)]
    await routers[0].tick()
    fleet.clock.ms += HOUR
    await asyncio.gather(*(router.tick() for router in routers))
    assert walk.seen == [0, 1, 2]


async def test_a_router_that_comes_late_to_the_lease_sees_that_the_work_is_done(state: StateStore) -> None:
    walk = Walk()
    fleet = Fleet(state, walk)
    first = fleet.router()
    await first.tick()
    fleet.clock.ms += HOUR

    class Slow:
        """Another router does the work between this one's look and its lease."""

        def __getattr__(self, name: str) -> Any:
            return getattr(state, name)

        async def put(self, space: str, *args: Any, **options: Any) -> int | None:
            if space == LEASES and not walk.seen:
                await first.tick()
            return await state.put(space, *args, **options)

    fleet.state = cast("StateStore", Slow())
    await fleet.router().tick()
    assert walk.seen == [0, 1, 2]


async def test_a_router_that_lost_its_lease_stops_and_leaves_the_note_to_its_heir(state: StateStore) -> None:
    walk = Walk()
    fleet = Fleet(state, walk)
    router = fleet.router()
    await router.tick()
    fleet.clock.ms += HOUR

    async def sleep_too_long(user: int) -> None:
        if user == 1:
            fleet.clock.ms += LEASE_MS

    walk.before_each = sleep_too_long
    await router.tick()
    assert walk.seen == [0, 1]
    assert fleet.runs.outcomes == {"lost": 1}
    walk.before_each = None
    await fleet.router().tick()
    assert walk.seen == [0, 1, 0, 1, 2]


async def test_a_run_that_takes_too_long_is_gone_on_with_by_the_next(state: StateStore) -> None:
    walk = Walk(2)
    fleet = Fleet(state, walk)
    router = fleet.router()
    await router.tick()
    fleet.clock.ms += HOUR

    async def dawdle(user: int) -> None:
        if user == 0:
            for _ in range(round(LONGEST_RUN * 1000) // LEASE_MS * 2 + 1):
                fleet.clock.ms += LEASE_MS // 2
                await router_run[0].rest()

    router_run: list[Run] = []
    inner = walk.__call__

    async def remembering(run: Run, position: str | None) -> bool:
        router_run[:] = [run]
        return await inner(run, position)

    fleet.work = remembering
    walk.before_each = dawdle
    await fleet.router().tick()
    assert walk.seen == [0]
    walk.before_each = None
    fleet.clock.ms += HOUR
    await fleet.router().tick()
    assert walk.begun_at == [None, "1"]
    assert walk.seen == [0, 1]
    assert fleet.runs.outcomes == {"stopped": 1, "finished": 1}


async def test_a_run_that_failed_is_taken_up_soon_where_it_ended(state: StateStore) -> None:
    walk = Walk()
    fleet = Fleet(state, walk)
    router = fleet.router()
    await router.tick()
    fleet.clock.ms += HOUR

    async def fail(user: int) -> None:
        if user == 2:
            raise StoreUnavailable("gone")

    walk.before_each = fail
    await router.tick()
    walk.before_each = None
    await router.tick()
    fleet.clock.ms += round(RETRY_SECONDS * 1000)
    await router.tick()
    assert walk.begun_at == [None, "2"]
    assert fleet.runs.outcomes == {"failed": 1, "finished": 1}


async def test_a_position_that_the_store_does_not_know_begins_anew(state: StateStore) -> None:
    walk = Walk()

    async def picky(run: Run, position: str | None) -> bool:
        if position is not None:
            raise InvalidRequest("not a position of this store")
        return await walk(run, position)

    fleet = Fleet(state, picky)
    await state.put(SPACE, "work", b'{"ended_at":0,"position":"elsewhere"}', now=fleet.clock.ms)
    await fleet.router().tick()
    assert walk.seen == [0, 1, 2]


async def test_a_note_that_nobody_understands_makes_the_task_due(state: StateStore) -> None:
    walk = Walk()
    fleet = Fleet(state, walk)
    await state.put(SPACE, "work", b"\xff", now=fleet.clock.ms)
    await fleet.router().tick()
    assert walk.seen == [0, 1, 2]


async def test_closing_ends_a_long_rest_at_once(state: StateStore) -> None:
    resting = asyncio.Event()

    async def slow(run: Run, position: str | None) -> bool:
        resting.set()
        while await run.may_begin("next"):
            pass
        return False

    fleet = Fleet(state, slow)
    await state.put(SPACE, "work", b'{"ended_at":0}', now=fleet.clock.ms)
    router = fleet.router(per_second=1e-6)
    router.start()
    await resting.wait()
    async with asyncio.timeout(30):
        await router.aclose()
        await router.aclose()
    assert fleet.runs.outcomes.total() == 1
    assert fleet.runs.held == 0


async def test_work_that_does_not_rest_is_cancelled(state: StateStore) -> None:
    begun = asyncio.Event()

    async def deaf(run: Run, position: str | None) -> bool:
        begun.set()
        await asyncio.Event().wait()
        return True

    fleet = Fleet(state, deaf)
    await state.put(SPACE, "work", b'{"ended_at":0}', now=fleet.clock.ms)
    router = fleet.router()
    router.start()
    await begun.wait()
    await router.aclose()
    assert fleet.runs.held == 0
    assert [entry async for entry in state.entries(LEASES, now=fleet.clock.ms)] == []
