"""Dry runs: bounded, at half speed beside requests, and without texts or names."""

import asyncio
from dataclasses import asdict, fields
from functools import partial

from memrouter.inspector.operations.trials import Departing, TrialPace
from memrouter.memory.upkeep.pruning import Leaving
from memrouter.memory.upkeep.retention import Departure, Rule
from memrouter.models.memory import owner_key
from memrouter.stores.base import Capabilities
from memrouter.testing.clock import ManualClock
from memrouter.testing.records import RecordFactory


async def test_nobody_is_begun_once_the_time_is_over() -> None:
    clock = ManualClock()
    pace = TrialPace(clock=clock, seconds=10, busy=lambda: False)
    assert await pace.may_begin(None)
    clock.ms += 9_999
    assert await pace.may_begin("x")
    clock.ms += 1
    assert not await pace.may_begin("x")


async def test_others_work_at_every_rest() -> None:
    turns: list[str] = []

    async def other() -> None:
        turns.append("other")

    pace = TrialPace(clock=ManualClock(), seconds=10, busy=lambda: False)
    waiting = asyncio.create_task(other())
    await pace.rest()
    turns.append("trial")
    await waiting
    assert turns == ["other", "trial"]


async def test_beside_requests_a_rest_is_as_long_as_the_work() -> None:
    clock = ManualClock()
    for busy, order in ((True, ["other", "trial"]), (False, ["trial", "other"])):
        ended: list[str] = []

        async def other(ended: list[str] = ended) -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            ended.append("other")

        pace = TrialPace(clock=clock, seconds=10, busy=partial(bool, busy))
        clock.ms += 100
        working = asyncio.create_task(other())
        await pace.rest()
        ended.append("trial")
        await working
        assert ended == order


def test_what_is_shown_of_a_memory_has_neither_text_nor_name() -> None:
    record = RecordFactory(Capabilities("sqlite", 4, "m", exact=True)).make(user_id="anna", content="the cat is Figaro")
    shown = Departing.of(Leaving(record, Departure(record.id, Rule.FADED, 3.0, 0.1)))
    assert shown.owner == owner_key("anna")
    assert "Figaro" not in str(asdict(shown))
    assert "anna" not in str(asdict(shown))
    assert {each.name for each in fields(Departing)}.isdisjoint({"content", "user_id", "project_id", "conversation_id"})
