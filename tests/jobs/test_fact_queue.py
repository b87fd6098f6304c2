"""Turns gathered into batches and given to whoever draws facts, who fails or takes long as a test says."""

import asyncio
import logging

import numpy as np
import pytest

from memrouter.errors import StoreUnavailable
from memrouter.jobs.fact_queue import RETRIES, FactQueue
from memrouter.memory.extraction.batches import TurnBatch
from memrouter.memory.extraction.fact_keeper import FactKeeper
from memrouter.models.memory import MemoryRecord
from memrouter.observability.metrics import Metrics


class Held(FactKeeper):
    """Notes batches; waits at a gate, and fails as often as a test says."""

    def __init__(self) -> None:
        self.kept: list[list[str]] = []
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures = 0

    async def keep(self, batch: TurnBatch) -> None:
        self.begun.set()
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        self.kept.append(batch.ids)


def turn(number: int, **changes: str) -> MemoryRecord:
    return MemoryRecord(
        id=f"turn-{number}",
        user_id=changes.get("user_id", "anna"),
        content="Q: I like tea.\nA: How nice!",
        embedding=np.ones(1, dtype=np.float32),
        embedding_model="m",
        created_at=number,
        updated_at=number,
        conversation_id="c1",
        turn_index=number,
        role="turn",
    )


def queue(keeper: FactKeeper, *, size: int = 2) -> FactQueue:
    return FactQueue(keeper, size=size, max_wait=3600, observer=Metrics())


async def test_what_waits_is_worked_on_when_it_is_drained() -> None:
    keeper = Held()
    facts = queue(keeper)
    for number in range(3):
        facts.offer(turn(number))
    assert facts.waiting == 3
    assert await facts.drain(10) == 0
    assert keeper.kept == [["turn-0", "turn-1"], ["turn-2"]]
    assert (facts.waiting, facts.dropped, facts.failed) == (0, 0, 0)
    await facts.aclose()


async def test_a_batch_is_tried_again_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memrouter.jobs.fact_queue.RETRY_SECONDS", 0)
    keeper = Held()
    keeper.failures = RETRIES
    facts = queue(keeper)
    facts.offer(turn(0))
    assert await facts.drain(10) == 0
    assert keeper.kept == [["turn-0"]]
    keeper.failures = RETRIES + 1
    facts.offer(turn(1))
    assert await facts.drain(10) == 0
    assert (facts.failed, facts.waiting) == (1, 0)
    await facts.aclose()


async def test_what_is_left_at_the_deadline_is_given_up_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    keeper = Held()
    keeper.gate.clear()
    facts = queue(keeper)
    facts.offer(turn(0))
    facts.offer(turn(1))
    facts.offer(turn(2, user_id="bob"))
    await asyncio.wait_for(keeper.begun.wait(), 10)
    with caplog.at_level(logging.WARNING, "memrouter"):
        assert await facts.drain(0.01) == 2
        await facts.aclose()
    assert (facts.dropped, facts.waiting, keeper.kept) == (2, 0, [])
    assert not any("anna" in message or "tea" in message for message in caplog.messages)
