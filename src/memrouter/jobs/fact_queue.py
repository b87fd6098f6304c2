"""Turns on their way to a model that draws facts from them: gathered into batches, worked on a few at a time."""

import logging
from collections.abc import Sequence
from typing import Final

from memrouter.errors import EmbeddingError, StoreUnavailable
from memrouter.jobs.queue import JobQueue
from memrouter.memory.extraction.batches import TurnBatch, TurnBatches
from memrouter.memory.extraction.fact_keeper import FactKeeper
from memrouter.memory.extraction.observer import ExtractionObserver
from memrouter.models.memory import MemoryRecord

logger = logging.getLogger(__name__)

MAX_BATCHES: Final = 1000
"""Most batches that wait for the model; past them the oldest is dropped, and its turns stay without facts."""
WORKERS: Final = 2
"""Most calls of the model at once."""
RETRIES: Final = 3
RETRY_SECONDS: Final = 0.5


class FactQueue:
    """Takes stored turns and has facts drawn from them.

    Args:
        keeper: Draws and stores facts.
        size: Turns of one conversation that the model gets at once.
        max_wait: Most seconds that a turn waits for its batch to fill.
        observer: Is told of turns for which there is no place.
    """

    def __init__(self, keeper: FactKeeper, *, size: int, max_wait: float, observer: ExtractionObserver) -> None:
        self._keeper = keeper
        self._jobs: JobQueue[TurnBatch] = JobQueue(
            self._keep,
            capacity=MAX_BATCHES,
            workers=WORKERS,
            on_drop=self._dropped,
            on_error=lambda error: logger.error("facts could not be stored: %s", error),
            retries=RETRIES,
            retry_delay=RETRY_SECONDS,
            retry_on=(StoreUnavailable, EmbeddingError),
        )
        self._batches = TurnBatches(self._jobs.offer, size=size, max_wait=max_wait, observer=observer)

    @property
    def waiting(self) -> int:
        """Return how many turns wait, those in work included."""
        return self._batches.waiting

    @property
    def dropped(self) -> int:
        """Return how many batches were dropped."""
        return self._jobs.dropped

    @property
    def failed(self) -> int:
        """Return how many batches were given up after failures."""
        return self._jobs.failed

    def offer(self, record: MemoryRecord) -> None:
        """Take a memory that was just stored, without waiting; one that is no turn is passed over."""
        self._batches.offer(record)

    async def drain(self, deadline_seconds: float) -> int:
        """Give on what waits and work on it until the deadline is over; return how many batches are left undone."""
        self._batches.flush()
        return await self._jobs.drain(deadline_seconds)

    async def aclose(self) -> None:
        """Give up what is left; its turns stay as they are."""
        self._batches.flush()
        await self._jobs.aclose()

    async def _keep(self, batches: Sequence[TurnBatch]) -> Sequence[None]:
        """Keep the facts of the one batch that the queue gives at a time."""
        (batch,) = batches
        try:
            await self._keeper.keep(batch)
        finally:
            self._batches.done(batch)
        return [None]

    def _dropped(self, batch: TurnBatch) -> None:
        self._batches.done(batch)
        logger.warning("no facts are drawn from %d turn(s): too many wait, or the router stops", len(batch.ids))
