"""The one way by which new memories come into a store: admitted, de-duplicated, within the cap, told to the audit log.

A conversation, the API, an extraction and a correction all write through it. Memories that are moved from store to
store, and imports, have a gate of their own (``memrouter.transfer.gate``), which screens with the same rules.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Final, Self

from memrouter.clock import Clock
from memrouter.config.memory import MemorySettings
from memrouter.embeddings.base import Embedder
from memrouter.memory.screening.screen import Screen
from memrouter.memory.storing.admission import Admission, Dropped
from memrouter.memory.storing.audit import audit
from memrouter.memory.storing.capacity import Capacity, Room
from memrouter.memory.storing.deposit import Deposit, Fate, Kept, Outcome, deposit
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.memory.storing.edits import OwnerEdits, Plan
from memrouter.memory.storing.ids import IdFactory
from memrouter.memory.storing.kept import MAX_QUARANTINED, read_kept, read_suspects
from memrouter.memory.storing.marks import ErasureMarks
from memrouter.memory.storing.observer import Unobserved, WriteObserver
from memrouter.memory.storing.outlines import Outline
from memrouter.memory.storing.replays import Replays
from memrouter.models.history import Actor
from memrouter.models.memory import DEFAULT_PROJECT, MemoryRecord, Scope
from memrouter.stores.base import MemoryStore

INLINE_PAIRS: Final = 4_000
"""New memories times kept ones up to which they are compared in the event loop."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What is to be written for one owner.

    Attributes:
        scope: Whose; without a project, the default one.
        drafts: What to remember.
        begun_at: See ``Write``.
    """

    scope: Scope
    drafts: Sequence[MemoryDraft]
    begun_at: int | None = None


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
class _Written:
    outcomes: Sequence[Outcome]
    evicted: Collection[str]


class WriteGate:
    """Admits and stores.

    Args:
        store: Keeps the memories.
        admission: Makes memories of drafts.
        edits: Makes changes by what is kept.
        settings: De-duplication and the cap.
        clock: Tells the time.
        observer: Is told in figures what became of drafts.

    Attributes:
        admission: As given.
        edits: As given.
        capacity: The cap.
        marks: What was deleted of late.
    """

    def __init__(
        self,
        *,
        store: MemoryStore,
        admission: Admission,
        edits: OwnerEdits,
        settings: MemorySettings,
        clock: Clock,
        observer: WriteObserver,
    ) -> None:
        self.admission = admission
        self.edits = edits
        self.capacity = Capacity(store, settings.quality_scoring)
        self.marks = ErasureMarks(store.state)
        self._store = store
        self._settings = settings
        self._clock = clock
        self._observer = observer
        self._replays = Replays()

    @classmethod
    def configured(
        cls,
        settings: MemorySettings,
        *,
        store: MemoryStore,
        embedder: Embedder,
        clock: Clock,
        rng: Random,
        observer: WriteObserver | None = None,
    ) -> Self:
        """Return the gate of a store as configured.

        Args:
            settings: What to build.
            store: Keeps the memories; closed by whoever opened it.
            embedder: Makes the vectors of the model that the store keeps.
            clock: Tells the time.
            rng: Makes ids, and spreads the tries of several routers.
            observer: Is told in figures what became of drafts; None for nobody.
        """
        admission = Admission(
            screen=Screen(settings.redaction, settings.quarantine),
            embedder=embedder,
            ids=IdFactory(clock, rng),
            retention=settings.retention,
        )
        return cls(
            store=store,
            admission=admission,
            edits=OwnerEdits(store, rng=rng),
            settings=settings,
            clock=clock,
            observer=observer or Unobserved(),
        )

    async def write(
        self,
        scope: Scope,
        drafts: Sequence[MemoryDraft],
        *,
        actor: Actor,
        begun_at: int | None = None,
        unique: bool = True,
    ) -> Sequence[Outcome]:
        """Admit drafts and store them, all in one step; return what became of each, in their order.

        Args:
            scope: Whose; without a project, the default one.
            drafts: What to remember.
            actor: Who writes.
            begun_at: See ``Write``.
            unique: See ``Write``.

        Raises:
            InvalidRequest: A draft is out of range; ``param`` names the field. Nothing was stored.
            EmbeddingError: The embedder failed; nothing was stored.
            StoreUnavailable: The store failed; it may have been stored.
        """
        return await self.store(await self.admit(scope, drafts, actor=actor, begun_at=begun_at, unique=unique))

    async def admit(
        self,
        scope: Scope,
        drafts: Sequence[MemoryDraft],
        *,
        actor: Actor,
        begun_at: int | None = None,
        unique: bool = True,
    ) -> Write:
        """Return what ``store`` takes; stores nothing. For arguments and errors see ``write``."""
        (write,) = await self.admit_all([Asked(scope, drafts, begun_at)], actor=actor, unique=unique)
        return write

    async def admit_all(self, asked: Sequence[Asked], *, actor: Actor, unique: bool = True) -> list[Write]:
        """Do as ``admit`` for several writes, with one call of the embedder; raises for all of them."""
        wanted = [
            (one if one.scope.project_id else replace(one, scope=Scope(one.scope.user_id, DEFAULT_PROJECT)))
            for one in asked
        ]
        now = self._clock.now_ms()
        admitted = await self.admission.admit_all([(one.scope, one.drafts) for one in wanted], actor=actor, now=now)
        for answer in admitted:
            for kind, count in answer.redacted.items():
                self._observer.redacted(kind=kind, count=count)
        return [
            Write(one.scope, answer.places, [draft.source for draft in one.drafts], actor, one.begun_at, unique)
            for one, answer in zip(wanted, admitted, strict=True)
        ]

    async def store(self, write: Write) -> Sequence[Outcome]:
        """Store what was admitted; may be called again after it failed, and then stores nothing twice."""
        if not write.places:
            return ()
        again, write.tried = write.tried, True
        written = await self.edits.apply_at(write.scope.user_id, partial(self._plan, write, again))
        self._replays.note(write.records)
        self._tell(write, written)
        return written.outcomes

    async def trim(self, user_id: str) -> int:
        """Remove what a user has over the cap, as after an import; return how many memories were removed."""
        now = self._clock.now_ms()
        return await self.capacity.trim(user_id, edits=self.edits, observer=self._observer, now=now)

    async def _plan(self, write: Write, again: bool, generation: int) -> Plan[_Written]:
        now = self._clock.now_ms()
        outline = await self._outline(write, generation)
        if outline is None:
            kept, erased = await asyncio.gather(self._read(write, again, now), self._erased(write, now))
        else:
            kept, erased = await self._suspected(write, outline, again, now), await self._erased(write, now)
        todo = partial(
            deposit,
            write.places,
            kept,
            erased=erased,
            actor=write.actor,
            unique=write.unique,
            now=now,
            settings=self._settings.deduplication,
        )
        inline = len(write.records) * len(kept.visible) <= INLINE_PAIRS
        done = todo() if inline else await asyncio.to_thread(todo)
        room = await self._room(write.scope.user_id, done, outline, now)
        return _planned(done, room, _crowded_out(done, kept))

    async def _outline(self, write: Write, generation: int) -> Outline | None:
        """Return the owner's outline where it can stand for a search."""
        if not write.unique or not write.records or any(record.quarantine for record in write.records):
            return None
        return await self.edits.outlines.at(write.scope.user_id, generation, self._store)

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
        near = self._settings.deduplication
        threshold = near.similarity_threshold if near.enabled else None
        return {name for record in records for name in outline.suspects(record, threshold=threshold)}

    async def _erased(self, write: Write, now: int) -> Collection[str]:
        if write.begun_at is None:
            return ()
        return await self.marks.covered(write.scope.user_id, write.records, begun_at=write.begun_at, now=now)

    async def _room(self, user_id: str, done: Deposit, outline: Outline | None, now: int) -> Room:
        if len(done.new) <= len(done.superseded):
            return Room()
        at_most = None if outline is None else len(outline)
        return await self.capacity.room(
            user_id, len(done.new), now=now, gone=done.superseded, spared=done.put, at_most=at_most
        )

    def _tell(self, write: Write, written: _Written) -> None:
        groups: defaultdict[tuple[str, str | None, str | None], list[str]] = defaultdict(list)
        for source, outcome in zip(write.sources, written.outcomes, strict=True):
            self._observer.written(source=source, outcome=outcome.fate)
            if outcome.fate is Fate.DROPPED:
                self._observer.write_dropped(outcome.reason or "")
            record = outcome.record
            conversation = None if record is None else record.conversation_id
            groups[outcome.fate, outcome.reason, conversation].append("" if record is None else record.id)
        for (event, rule, conversation), ids in groups.items():
            known = [memory_id for memory_id in ids if memory_id]
            user_id, count = write.scope.user_id, len(ids)
            audit(event, user_id, known, actor=write.actor, rule=rule, conversation_id=conversation, count=count)
        if written.evicted:
            self._observer.evicted(len(written.evicted))
            audit("evicted", write.scope.user_id, written.evicted, actor=Actor.ROUTER, rule="max_memories_per_user")


def _crowded_out(done: Deposit, kept: Kept) -> frozenset[str]:
    """Return the ids of the oldest quarantined memories where there would be too many."""
    if not kept.apart:
        return frozenset()
    new = sum(record.quarantine is not None for record in done.put.values())
    stay = max(0, MAX_QUARANTINED - new)
    return frozenset(record.id for record in kept.apart[stay:] if not record.pinned)


def _planned(done: Deposit, room: Room, crowded_out: frozenset[str]) -> Plan[_Written]:
    """Return the plan, without the newest of the new memories where there is no room for them."""
    refused = set(done.new[len(done.new) - room.short :]) if room.short else set()
    put = _without(done.put, refused)
    full = Outcome(Fate.DROPPED, None, "over_limit")
    outcomes = [
        full if outcome.record is not None and outcome.record.id in refused else outcome for outcome in done.outcomes
    ]
    return Plan(_Written(outcomes, room.evicted), list(put.values()), room.evicted | crowded_out)


def _without(put: Mapping[str, MemoryRecord], refused: Collection[str]) -> Mapping[str, MemoryRecord]:
    """Return what is to be put but for refused memories and what was only to give way to one of them."""
    return {
        memory_id: record
        for memory_id, record in put.items()
        if memory_id not in refused and record.superseded_by not in refused
    }
