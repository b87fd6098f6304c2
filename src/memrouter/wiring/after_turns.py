"""What happens behind the answers: turns are stored, accesses counted, facts drawn; and all of it ends in time."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from memrouter.errors import EmbeddingError, StoreUnavailable
from memrouter.jobs.fact_queue import FactQueue
from memrouter.jobs.queue import JobQueue
from memrouter.jobs.tally import Tally
from memrouter.memory.extraction.extractor import FactExtractor
from memrouter.memory.extraction.fact_keeper import FactKeeper
from memrouter.memory.helper_model import HelperModel
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.writer import FinishedTurn, TurnWriter
from memrouter.models.memory import Scope
from memrouter.stores.base import MemoryStore
from memrouter.wiring.foundation import Foundation

logger = logging.getLogger(__name__)

STORE_RETRIES: Final = 5
RETRY_DELAY_SECONDS: Final = 0.5
MOST_TOGETHER: Final = 32
"""Most turns that are stored together: some 30 ms of work in all, of which the event loop does 4 ms at a time. So many
wait only where the loop is busy all the time; fewer would be stored more slowly than others end."""
QUIET_SECONDS: Final = 0.005
"""How long no question may have come, and no turn ended, before those that wait are stored: a client that asks again at
once, as programs do, has its memories, and the model the question, by then."""
PATIENCE_SECONDS: Final = 0.1
"""Most time that a turn waits for that, where clients ask without a pause."""
RELIEF_SECONDS: Final = 0.05
"""Most time that a question waits while turns are stored more slowly than others end."""
ACCESS_SECONDS: Final = 1.0
MAX_ACCESSES: Final = 100_000
LEAST_DRAIN_SECONDS: Final = 1.0


class AfterTurns:
    """The queues behind the answers; they are emptied before what they write to closes.

    Args:
        base: What they are built on; closes them.
        memory: Stores and counts; None where no route has memory.
        store: Keeps the memories.
        model: Draws facts; None where none is meant for it.
        seconds_left: Tells how long the shutdown may still take.

    Attributes:
        writer: Stores what finished turns left; None where no route has memory.
        turns: Finished turns that wait to be stored.
        accesses: Which memories prompts were given, to be counted now and then.
    """

    def __init__(
        self,
        base: Foundation,
        memory: MemoryService | None,
        store: MemoryStore | None,
        model: HelperModel | None,
        *,
        seconds_left: Callable[[], float],
    ) -> None:
        self._base = base
        self._seconds_left = seconds_left
        self.writer: TurnWriter | None = None
        if memory is not None and store is not None:
            facts = None if model is None else self._facts(memory, store, model)
            offer = None if facts is None else facts.offer
            self.writer = TurnWriter(service=memory, metrics=base.metrics, on_stored=offer, tracer=base.tracer)
        self.turns = self._queue(memory, self.writer)
        self.accesses = _tally(self.writer)
        base.closing.push_async_callback(self._drain)

    async def make_way(self) -> None:
        """Have storing wait for a question that has come; where too many turns wait, have the question wait instead."""
        self.turns.put_off()
        await self.turns.relief(RELIEF_SECONDS)

    def _queue(self, memory: MemoryService | None, writer: TurnWriter | None) -> JobQueue[FinishedTurn]:
        limits = self._base.settings.memory.limits

        async def store(turns: Sequence[FinishedTurn]) -> Sequence[Exception | None]:
            if memory is None or writer is None:
                return [None for _ in turns]
            failures = await writer.store_all(turns)
            for user_id in {turn.scope.user_id for turn in turns}:
                if self.turns.depth:
                    break  # there is more to store
                memory.catch_up(user_id)
                await asyncio.sleep(0)  # what has come meanwhile goes first
            return failures

        turns = JobQueue(
            store,
            capacity=limits.store_queue,
            workers=limits.store_workers,
            on_drop=lambda _: logger.warning("a finished turn was dropped: the queue of turns to store is full"),
            on_error=lambda error: logger.error("a finished turn could not be stored: %s", error),
            retries=STORE_RETRIES,
            retry_delay=RETRY_DELAY_SECONDS,
            retry_on=(StoreUnavailable, EmbeddingError),
            batch=MOST_TOGETHER,
            quiet=QUIET_SECONDS,
            patience=PATIENCE_SECONDS,
        )
        self._base.metrics.watch_queue(
            depth=lambda: turns.depth,
            dropped=lambda: turns.dropped,
            done=lambda: 0 if writer is None else writer.done,
            failed=lambda: turns.failed,
        )
        return turns

    def _facts(self, memory: MemoryService, store: MemoryStore, model: HelperModel) -> FactQueue:
        base, settings = self._base, self._base.settings.memory
        keeper = FactKeeper(
            store=store,
            gate=memory.gate,
            corrections=memory.corrections,
            extractor=FactExtractor(model, observer=base.metrics, clock=base.clock),
            observer=base.metrics,
            clock=base.clock,
        )
        wait = settings.extraction.max_wait
        facts = FactQueue(keeper, size=settings.extraction_batch_size, max_wait=wait, observer=base.metrics)
        base.metrics.watch_extraction(
            waiting=lambda: facts.waiting, dropped=lambda: facts.dropped, failed=lambda: facts.failed
        )
        base.closing.push_async_callback(self._drain_facts, facts)
        return facts

    async def _drain_facts(self, facts: FactQueue) -> None:
        left = await facts.drain(self._seconds_left())
        if left:
            logger.error("no facts were drawn from %d batch(es) of turns before the deadline", left)
        await facts.aclose()

    async def _drain(self) -> None:
        left = await self.turns.drain(self._seconds_left())
        if left:
            logger.error("%d finished turn(s) could not be stored before the deadline", left)
        await self.turns.aclose()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAST_DRAIN_SECONDS):
                await self.accesses.aclose()


def _tally(writer: TurnWriter | None) -> Tally[Scope]:
    async def count(scope: Scope, ids: Sequence[str]) -> None:
        if writer is not None:
            await writer.count(scope, ids)

    return Tally(
        count,
        seconds=ACCESS_SECONDS,
        capacity=MAX_ACCESSES,
        on_error=lambda error: logger.warning("accesses could not be counted: %s", error),
    )
