"""The corpora of the owners who asked last, kept within a bound of bytes."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from memrouter.memory.retrieval.corpus import Corpus, follow, follow_at_once
from memrouter.memory.retrieval.words import Analyzer
from memrouter.models.memory import MemoryType, Scope
from memrouter.stores.query import Change

MAX_LARGE_OWNERS = 10_000
"""Most owners remembered as too large to keep."""
MAX_FOLLOWED = 64
"""Most memories whose changes wait to be worked into a corpus; beyond, it is read anew."""


class CorpusKey(NamedTuple):
    """What a corpus holds: the memories of these types in this scope."""

    scope: Scope
    types: frozenset[MemoryType]


Load: TypeAlias = Callable[[Corpus | None], Awaitable[Corpus | None]]
"""Brings a corpus up to date: takes the kept one or None; returns it if it still stands, else a new one, or None where
the owner is too large to be kept."""

Stands: TypeAlias = Callable[[int], bool | None]
"""Tells whether this is the owner's generation now; None where it cannot be told without waiting."""


class Follower:
    """Works changes into corpora.

    Args:
        analyzer: As for ``build_corpus``.
        limit: Most records of a corpus that is kept.
    """

    def __init__(self, *, analyzer: Analyzer, limit: int) -> None:
        self._analyzer = analyzer
        self._limit = limit

    async def follow(self, key: CorpusKey, held: Corpus, changes: Sequence[Change], generation: int) -> Corpus | None:
        """Return a corpus with changes worked in, as it stands at the generation since; None if it is not kept."""
        corpus = await follow(
            held, changes, analyzer=self._analyzer, generation=generation, scope=key.scope, types=key.types
        )
        return self._within(corpus)

    def at_once(self, key: CorpusKey, held: Corpus, changes: Sequence[Change], generation: int) -> Corpus | None:
        """Return what ``follow`` returns, or None also where that must be awaited, since it takes long."""
        corpus = follow_at_once(
            held, changes, analyzer=self._analyzer, generation=generation, scope=key.scope, types=key.types
        )
        return None if corpus is None else self._within(corpus)

    def _within(self, corpus: Corpus) -> Corpus | None:
        return corpus if len(corpus.records) <= self._limit else None


@dataclass(slots=True, eq=False)
class _Later:
    """Changes since a kept corpus was read, none left out, and the generation that the last of them led to."""

    changes: list[Change]
    generation: int

    @property
    def size(self) -> int:
        return sum(len(change.put) + len(change.remove) for change in self.changes)


@dataclass(slots=True, eq=False)
class Flight:
    """One load that several requests may wait for; until it has begun, more may join. For ``WorkingSet.arrival``.

    Attributes:
        held: The corpus that the store was asked about, once it was; None where nothing is kept.
    """

    begun: bool = False
    hit: bool = False
    held: Corpus | None = None
    task: "asyncio.Task[Corpus | None]" = field(init=False)


class WorkingSet:
    """Corpora by key, least recently used out first.

    Nothing is served unchecked: every request goes through a load that began after the request did, so it sees each
    write that had returned by then. Requests for one key share loads; there are never more than two at a time, one
    that has begun and one that waits for it. Use from one event loop.

    What this process itself changes is worked into the kept corpus, by ``catch_up`` or when it is next asked for. Else
    all of it would have to be read from the store again for every question, since the turn before it has been stored.

    Attributes:
        hits: Requests answered by the kept corpus.
        misses: Requests for which it had to be read anew.
        evictions: Corpora dropped to make room.
        nbytes: Estimated size of what is kept; never above ``max_bytes``.

    Args:
        max_bytes: Bound on ``nbytes``; 0 keeps nothing.
        follow: Works changes in; None: what was changed is read anew.
    """

    def __init__(self, *, max_bytes: int, follow: Follower | None = None) -> None:
        self._max_bytes = max_bytes
        self._follow = follow
        self._later: dict[CorpusKey, _Later] = {}
        self._keys_of: defaultdict[str, set[CorpusKey]] = defaultdict(set)
        self._kept: OrderedDict[CorpusKey, Corpus] = OrderedDict()
        self._large: OrderedDict[CorpusKey, None] = OrderedDict()
        self._flights: dict[CorpusKey, Flight] = {}
        self._tasks: set[asyncio.Task[Corpus | None]] = set()
        self._told: Callable[[str], Awaitable[None]] | None = None
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self.nbytes = 0

    async def get(self, key: CorpusKey, load: Load) -> Corpus | None:
        """Return the corpus as it stands now; None where ``load`` found the owner too large.

        Whatever ``load`` raises reaches every request that shared it. A cancelled request leaves the load running for
        the others.
        """
        return await self.arrival(self.depart(key, load))

    def depart(self, key: CorpusKey, load: Load) -> Flight:
        """Have the corpus brought up to date, without waiting; see ``arrival``."""
        flight = self._flights.get(key)
        return self._depart(key, load, after=flight) if flight is None or flight.begun else flight

    async def arrival(self, flight: Flight) -> Corpus | None:
        """Return what ``get`` returns, for a load that ``depart`` began."""
        corpus = await asyncio.shield(flight.task)
        if flight.hit:
            self.hits += 1
        else:
            self.misses += 1
        return corpus

    def held(self, key: CorpusKey) -> Corpus | None:
        """Return what is kept, whether it still stands or not."""
        return self._kept.get(key)

    def at_hand(self, key: CorpusKey, stands: Stands) -> Corpus | None:
        """Return what ``get`` returns where the kept corpus, with what this process changed since, is found to stand.

        Returns:
            None where it must be loaded, or a load is under way.
        """
        corpus = self._caught_up(key)
        if corpus is None or not stands(corpus.generation):
            return None
        self._keep(key, corpus)
        self.hits += 1
        return corpus

    def is_large(self, key: CorpusKey) -> bool:
        """Return whether the last load found this owner too large."""
        return key in self._large

    def forget_large(self, key: CorpusKey) -> None:
        """Let the next request try to load the owner whole again."""
        self._large.pop(key, None)

    def wait_for(self, told: Callable[[str], Awaitable[None]]) -> None:
        """Have a load wait first for a change of the user's that is about to be told to ``changed``, by ``told``."""
        self._told = told

    def changed(self, change: Change, generation: int) -> None:
        """Note a change that this process has made, and the owner's generation since."""
        for key in self._keys_of.get(change.user_id, ()) if self._follow else ():
            later = self._later.get(key) or _Later([], self._kept[key].generation)
            later.changes.append(change)
            if later.generation == change.after and later.size <= MAX_FOLLOWED:
                later.generation = generation
                self._later[key] = later
            else:  # somebody else has written meanwhile
                self._later.pop(key, None)

    def catch_up(self, user_id: str) -> None:
        """Work what this process has changed into the user's kept corpora now, where that is quick.

        For quiet moments: else it is done when the user asks the next time.
        """
        for key in tuple(self._keys_of.get(user_id, ())):
            self._caught_up(key)

    async def aclose(self) -> None:
        """Cancel loads under way and drop everything kept."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for key in list(self._kept):
            self._drop(key)

    def _depart(self, key: CorpusKey, load: Load, *, after: Flight | None) -> Flight:
        flight = Flight()
        self._flights[key] = flight
        flight.task = asyncio.create_task(self._fly(flight, key, load, after))
        self._tasks.add(flight.task)
        flight.task.add_done_callback(self._land)
        return flight

    async def _fly(self, flight: Flight, key: CorpusKey, load: Load, after: Flight | None) -> Corpus | None:
        try:
            if after is not None:
                await asyncio.wait({after.task})
            if self._told is not None and key in self._kept:
                await self._told(key.scope.user_id)
            flight.begun = True
            held = flight.held = await self._up_to_date(key)
            corpus = await load(held)
            flight.hit = held is not None and corpus is held
            self._keep(key, corpus)
            return corpus
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]

    async def _up_to_date(self, key: CorpusKey) -> Corpus | None:
        """Return the kept corpus, with what this process has changed since."""
        held, later = self._kept.get(key), self._later.pop(key, None)
        if held is None or later is None or self._follow is None:
            return held
        return await self._follow.follow(key, held, later.changes, later.generation)

    def _caught_up(self, key: CorpusKey) -> Corpus | None:
        """Do as ``_up_to_date``, at once; None also where that takes long, or a load is under way."""
        corpus = None if key in self._flights else self._kept.get(key)
        later = self._later.get(key)
        if corpus is None or later is None or self._follow is None:
            return corpus
        corpus = self._follow.at_once(key, corpus, later.changes, later.generation)
        if corpus is not None:
            self._keep(key, corpus)
        return corpus

    def _land(self, task: "asyncio.Task[Corpus | None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen here, since every request that waited for it may have been cancelled

    def _keep(self, key: CorpusKey, corpus: Corpus | None) -> None:
        if corpus is not None and self._kept.get(key) is corpus:
            self._kept.move_to_end(key)
            return
        self._drop(key)
        if corpus is None:
            self._large[key] = None
            if len(self._large) > MAX_LARGE_OWNERS:
                self._large.popitem(last=False)
            return
        self._large.pop(key, None)
        if corpus.nbytes <= self._max_bytes:
            self._kept[key] = corpus
            self._keys_of[key.scope.user_id].add(key)
            self.nbytes += corpus.nbytes
            while self.nbytes > self._max_bytes:
                self._drop(next(iter(self._kept)))
                self.evictions += 1

    def _drop(self, key: CorpusKey) -> None:
        corpus = self._kept.pop(key, None)
        if corpus is not None:
            self.nbytes -= corpus.nbytes
            self._later.pop(key, None)
            keys = self._keys_of[key.scope.user_id]
            keys.discard(key)
            if not keys:
                del self._keys_of[key.scope.user_id]
