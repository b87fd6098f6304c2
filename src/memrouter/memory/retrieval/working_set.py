"""The corpora of the owners who asked last, kept within a bound of bytes."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from memrouter.memory.retrieval.corpus import Corpus
from memrouter.models.memory import MemoryType, Scope

MAX_LARGE_OWNERS = 10_000
"""Most owners remembered as too large to keep."""


@dataclass(frozen=True, slots=True)
class CorpusKey:
    """What a corpus holds: the memories of these types in this scope."""

    scope: Scope
    types: frozenset[MemoryType]


Load: TypeAlias = Callable[[Corpus | None], Awaitable[Corpus | None]]
"""Brings a corpus up to date: takes the kept one or None; returns it if it still stands, else a new one, or None where
the owner is too large to be kept."""


@dataclass(slots=True, eq=False)
class _Flight:
    """One load that several requests may wait for; until it has begun, more may join."""

    begun: bool = False
    hit: bool = False
    task: "asyncio.Task[Corpus | None]" = field(init=False)


class WorkingSet:
    """Corpora by key, least recently used out first.

    Nothing is served unchecked: every request goes through a load that began after the request did, so it sees each
    write that had returned by then. Requests for one key share loads; there are never more than two at a time, one
    that has begun and one that waits for it. Use from one event loop.

    Attributes:
        hits: Requests answered by the kept corpus.
        misses: Requests for which it had to be read anew.
        evictions: Corpora dropped to make room.
        nbytes: Estimated size of what is kept; never above ``max_bytes``.

    Args:
        max_bytes: Bound on ``nbytes``; 0 keeps nothing.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[CorpusKey, Corpus] = OrderedDict()
        self._large: OrderedDict[CorpusKey, None] = OrderedDict()
        self._flights: dict[CorpusKey, _Flight] = {}
        self._tasks: set[asyncio.Task[Corpus | None]] = set()
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self.nbytes = 0

    async def get(self, key: CorpusKey, load: Load) -> Corpus | None:
        """Return the corpus as it stands now; None where ``load`` found the owner too large.

        Whatever ``load`` raises reaches every request that shared it. A cancelled request leaves the load running for
        the others.
        """
        flight = self._flights.get(key)
        if flight is None or flight.begun:
            flight = self._depart(key, load, after=flight)
        corpus = await asyncio.shield(flight.task)
        if flight.hit:
            self.hits += 1
        else:
            self.misses += 1
        return corpus

    def is_large(self, key: CorpusKey) -> bool:
        """Return whether the last load found this owner too large."""
        return key in self._large

    def forget_large(self, key: CorpusKey) -> None:
        """Let the next request try to load the owner whole again."""
        self._large.pop(key, None)

    async def aclose(self) -> None:
        """Cancel loads under way and drop everything kept."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._kept.clear()
        self.nbytes = 0

    def _depart(self, key: CorpusKey, load: Load, *, after: _Flight | None) -> _Flight:
        flight = _Flight()
        self._flights[key] = flight
        flight.task = asyncio.create_task(self._fly(flight, key, load, after))
        self._tasks.add(flight.task)
        flight.task.add_done_callback(self._land)
        return flight

    async def _fly(self, flight: _Flight, key: CorpusKey, load: Load, after: _Flight | None) -> Corpus | None:
        try:
            if after is not None:
                await asyncio.wait({after.task})
            flight.begun = True
            held = self._kept.get(key)
            corpus = await load(held)
            flight.hit = held is not None and corpus is held
            self._keep(key, corpus)
            return corpus
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]

    def _land(self, task: "asyncio.Task[Corpus | None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen here, since every request that waited for it may have been cancelled

    def _keep(self, key: CorpusKey, corpus: Corpus | None) -> None:
        self._drop(key)
        if corpus is None:
            self._large[key] = None
            if len(self._large) > MAX_LARGE_OWNERS:
                self._large.popitem(last=False)
            return
        self._large.pop(key, None)
        if corpus.nbytes <= self._max_bytes:
            self._kept[key] = corpus
            self.nbytes += corpus.nbytes
            while self.nbytes > self._max_bytes:
                self._drop(next(iter(self._kept)))
                self.evictions += 1

    def _drop(self, key: CorpusKey) -> None:
        corpus = self._kept.pop(key, None)
        if corpus is not None:
            self.nbytes -= corpus.nbytes
