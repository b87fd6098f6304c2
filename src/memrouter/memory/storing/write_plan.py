"""From admitted memories and what is kept to the change that stores them; what is read for it, and where it is made."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from memrouter.clock import Clock
from memrouter.config.keeping import DeduplicationSettings
from memrouter.memory.storing.admission import Dropped
from memrouter.memory.storing.capacity import Capacity, Room
from memrouter.memory.storing.deposit import Deposit, Fate, Kept, Outcome, deposit
from memrouter.memory.storing.edits import Plan
from memrouter.memory.storing.kept import MAX_QUARANTINED, read_kept, read_suspects
from memrouter.memory.storing.marks import ErasureMarks
from memrouter.memory.storing.outlines import Outline, Outlines
from memrouter.memory.storing.replays import Replays
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore

INLINE_PAIRS: Final = 4_000
"""New memories times kept ones up to which they are compared in the event loop."""


@dataclass(slots=True, eq=False)
class Write:
    """Drafts that were admitted and are to be stored; stored again after a failure, it is the same write.

    Attributes:
        scope: One project of one user.
        places: The memories that the drafts are to become, or why one is none.
        sources: The source of each draft.
        actor: Who writes.
        begun_at: When the work that led to it began, in milliseconds: what was deleted since is not brought back.
            None for a write that somebody waits for, which comes after every deletion that was answered.
        unique: Whether what is remembered already is not stored again.
        tried: Whether storing it was begun before.
    """

    scope: Scope
    places: Sequence[MemoryRecord | Dropped]
    sources: Sequence[str]
    actor: Actor
    begun_at: int | None = None
    unique: bool = True
    tried: bool = False
    records: list[MemoryRecord] = field(init=False)

    def __post_init__(self) -> None:
        self.records = [place for place in self.places if isinstance(place, MemoryRecord)]


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """What a write has done.

    Attributes:
        outcomes: What became of each draft, in their order.
        evicted: Ids of the memories that made room.
    """

    outcomes: Sequence[Outcome]
    evicted: Collection[str]


class WritePlanner:
    """Plans writes; changes nothing.

    Args:
        store: Keeps the memories.
        outlines: What is known of the owners that were written to last.
        capacity: The cap.
        marks: What was deleted of late.
        settings: When a text counts as remembered.
        clock: Tells the time.
    """

    def __init__(
        self,
        *,
        store: MemoryStore,
        outlines: Outlines,
        capacity: Capacity,
        marks: ErasureMarks,
        settings: DeduplicationSettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._outlines = outlines
        self._capacity = capacity
        self._marks = marks
        self._settings = settings
        self._clock = clock
        self._replays = Replays()

    def note(self, write: Write) -> None:
        """Note that a write was made, so that a replay of its turns is told apart from new ones."""
        self._replays.note(write.records)

    async def plan(self, write: Write, again: bool, generation: int) -> Plan[Written]:
        """Return what is to be changed for a write.

        Args:
            write: What was admitted.
            again: Whether storing it was begun before.
            generation: The owner's generation at which the plan is to be good.
        """
        now = self._clock.now_ms()
        outline = await self._outline(write, generation)
        if outline is None:
            kept, erased = await asyncio.gather(self._read(write, again, now), self._erased(write, None, now))
        else:
            kept, erased = await self._suspected(write, outline, again, now), await self._erased(write, outline, now)
        todo = partial(
            deposit,
            write.places,
            kept,
            erased=erased,
            actor=write.actor,
            unique=write.unique,
            now=now,
            settings=self._settings,
        )
        inline = len(write.records) * len(kept.visible) <= INLINE_PAIRS
        done = todo() if inline else await asyncio.to_thread(todo)
        room = await self._room(write.scope.user_id, done, outline, now)
        return _planned(done, room, _crowded_out(done, kept))

    async def _outline(self, write: Write, generation: int) -> Outline | None:
        """Return the owner's outline where it can stand for a search."""
        if not write.unique or not write.records or any(record.quarantine for record in write.records):
            return None
        return await self._outlines.at(write.scope.user_id, generation, self._store)

    async def _read(self, write: Write, again: bool, now: int) -> Kept:
        replayed = self._replays.suspected(write.records) if write.unique else ()
        return await read_kept(
            self._store, write.scope, write.records, unique=write.unique, again=again, replayed=replayed, now=now
        )

    async def _suspected(self, write: Write, outline: Outline, again: bool, now: int) -> Kept:
        todo = partial(self._suspects, write.records, outline)
        inline = len(write.records) * len(outline) <= INLINE_PAIRS
        ids = todo() if inline else await asyncio.to_thread(todo)
        own = {record.id for record in write.records} if again else set()
        return await read_suspects(self._store, write.scope, write.records, ids | own, now=now)

    def _suspects(self, records: Sequence[MemoryRecord], outline: Outline) -> set[str]:
        near = self._settings
        threshold = near.similarity_threshold if near.enabled else None
        return {name for record in records for name in outline.suspects(record, threshold=threshold)}

    async def _erased(self, write: Write, outline: Outline | None, now: int) -> Collection[str]:
        if write.begun_at is None:
            return ()
        user_id = write.scope.user_id
        if outline is not None:
            if outline.erased_at is None:
                outline.erased_at = await self._marks.latest(user_id, now=now)
            if outline.erased_at < write.begun_at:
                return ()
        return await self._marks.covered(user_id, write.records, begun_at=write.begun_at, now=now)

    async def _room(self, user_id: str, done: Deposit, outline: Outline | None, now: int) -> Room:
        if len(done.new) <= len(done.superseded):
            return Room()
        at_most = None if outline is None else len(outline)
        return await self._capacity.room(
            user_id, len(done.new), now=now, gone=done.superseded, spared=done.put, at_most=at_most
        )


def _crowded_out(done: Deposit, kept: Kept) -> frozenset[str]:
    """Return the ids of the oldest quarantined memories where there would be too many."""
    if not kept.apart:
        return frozenset()
    new = sum(record.quarantine is not None for record in done.put.values())
    stay = max(0, MAX_QUARANTINED - new)
    return frozenset(record.id for record in kept.apart[stay:] if not record.pinned)


def _planned(done: Deposit, room: Room, crowded_out: frozenset[str]) -> Plan[Written]:
    """Return the plan, without the newest of the new memories where there is no room for them."""
    refused = set(done.new[len(done.new) - room.short :]) if room.short else set()
    put = _without(done.put, refused)
    full = Outcome(Fate.DROPPED, None, "over_limit")
    outcomes = [
        full if outcome.record is not None and outcome.record.id in refused else outcome for outcome in done.outcomes
    ]
    return Plan(Written(outcomes, room.evicted), list(put.values()), room.evicted | crowded_out)


def _without(put: Mapping[str, MemoryRecord], refused: Collection[str]) -> Mapping[str, MemoryRecord]:
    """Return what is to be put but for refused memories and what was only to give way to one of them."""
    return {
        memory_id: record
        for memory_id, record in put.items()
        if memory_id not in refused and record.superseded_by not in refused
    }
