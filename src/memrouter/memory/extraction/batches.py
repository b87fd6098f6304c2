"""Turns that wait until enough of their conversation are there for a model to look at."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from memrouter.memory.extraction.facts import Fact
from memrouter.memory.extraction.observer import ExtractionObserver
from memrouter.memory.extraction.prompt import shown_chars
from memrouter.memory.extraction.source_turns import is_source
from memrouter.models.memory import DEFAULT_PROJECT, MemoryRecord, Scope

MAX_BATCH_CHARS: Final = 24_000
"""A batch with so many characters to show is full, however few turns it has: some 8,000 tokens."""
MAX_TURNS: Final = 10_000
"""Most turns that wait, those of batches in work included."""
MAX_OWNER_TURNS: Final = 400
"""Most turns of one user that wait, so that nobody takes everybody's place."""


@dataclass(slots=True, eq=False)
class TurnBatch:
    """Turns of one conversation that a model is to look at together.

    Attributes:
        scope: Whose.
        ids: Their memories, in the order in which they were stored; no text waits in memory.
        facts: What the model made of them; None until it was asked.
    """

    scope: Scope
    ids: list[str] = field(default_factory=list)
    facts: tuple[Fact, ...] | None = None


@dataclass(slots=True, eq=False)
class _Open:
    """A batch that is not full yet."""

    batch: TurnBatch
    timer: asyncio.TimerHandle
    chars: int = 0


class TurnBatches:
    """Gathers stored turns by conversation and gives a batch on when it is full or old enough.

    Needs a running event loop. Never blocks, never raises.

    Args:
        ready: Takes a batch; must not wait. ``done`` is to be called for each.
        size: Turns of a full batch.
        max_wait: Most seconds that a turn waits for its batch to fill.
        observer: Is told of turns that are not waited for.
    """

    def __init__(
        self, ready: Callable[[TurnBatch], None], *, size: int, max_wait: float, observer: ExtractionObserver
    ) -> None:
        self._ready = ready
        self._size = size
        self._max_wait = max_wait
        self._observer = observer
        self._open: dict[tuple[str, str, str], _Open] = {}
        self._counts: Counter[str] = Counter()
        self._total = 0
        self._given: set[TurnBatch] = set()

    @property
    def waiting(self) -> int:
        """Return how many turns wait, those of batches in work included."""
        return self._total

    def offer(self, record: MemoryRecord) -> None:
        """Take a memory that was just stored; one that is no turn of a conversation is passed over."""
        if record.conversation_id is None or not is_source(record):
            return
        if self._total >= MAX_TURNS or self._counts[record.user_id] >= MAX_OWNER_TURNS:
            self._observer.extraction_overflow()
            return
        key = (record.user_id, record.project_id, record.conversation_id)
        opened = self._open.get(key) or self._begin(key)
        opened.batch.ids.append(record.id)
        opened.chars += shown_chars(record)
        self._counts[record.user_id] += 1
        self._total += 1
        if len(opened.batch.ids) >= self._size or opened.chars >= MAX_BATCH_CHARS:
            self._give(key)

    def flush(self) -> None:
        """Give on every batch, full or not."""
        for key in tuple(self._open):
            self._give(key)

    def done(self, batch: TurnBatch) -> None:
        """Note that a batch is through, whatever came of it; again for the same one does nothing."""
        if batch not in self._given:
            return
        self._given.discard(batch)
        self._total -= len(batch.ids)
        self._counts[batch.scope.user_id] -= len(batch.ids)
        if self._counts[batch.scope.user_id] <= 0:
            del self._counts[batch.scope.user_id]

    def _begin(self, key: tuple[str, str, str]) -> _Open:
        user_id, project_id, _ = key
        timer = asyncio.get_running_loop().call_later(self._max_wait, self._give, key)
        opened = self._open[key] = _Open(TurnBatch(Scope(user_id, project_id or DEFAULT_PROJECT)), timer)
        return opened

    def _give(self, key: tuple[str, str, str]) -> None:
        opened = self._open.pop(key)
        opened.timer.cancel()
        self._given.add(opened.batch)
        self._ready(opened.batch)
