"""What is to be stored of some new memories beside those that are kept: one outcome each. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from memrouter.config.keeping import DeduplicationSettings
from memrouter.memory.storing.admission import Dropped
from memrouter.memory.storing.duplicates import Pool, Twin, outranked, outranks, refreshed, same_turn, same_words
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, content_digest

TRIED_AGAIN: Final = "tried_again"
"""Reason of what was stored by an earlier try of the same write."""


class Fate(StrEnum):
    """What became of a draft."""

    STORED = "stored"
    KNOWN = "known"
    """It is remembered already; that memory was refreshed, or left as it was."""
    QUARANTINED = "quarantined"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of one draft.

    Attributes:
        fate: The short of it.
        record: The memory that now holds its content; None where it was dropped.
        reason: One of a fixed list of words: why it was dropped, how it was known, or the rule of the quarantine.
    """

    fate: Fate
    record: MemoryRecord | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What is kept and bears on some new memories.

    Attributes:
        visible: Visible memories of the owner's project among which twins may be.
        apart: Quarantined ones; needed only where a new one is to be quarantined.
        replaced: Superseded ones of the same conversations; needed only where a conversation is replayed.
        there: Memories that have an id of a new one already, visible or not, as when a write is tried again.
    """

    visible: Sequence[MemoryRecord] = ()
    apart: Sequence[MemoryRecord] = ()
    replaced: Sequence[MemoryRecord] = ()
    there: Sequence[MemoryRecord] = ()


@dataclass(slots=True, eq=False)
class Deposit:
    """What is to be written.

    Attributes:
        outcomes: One for each draft, in their order.
        put: Memories as they are to be, by id.
        new: Ids of those that are added and visible.
        superseded: Ids of kept memories that are visible no longer.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    put: dict[str, MemoryRecord] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    superseded: set[str] = field(default_factory=set)


def deposit(
    places: Sequence[MemoryRecord | Dropped],
    kept: Kept,
    *,
    erased: Collection[str],
    actor: Actor,
    unique: bool,
    now: int,
    settings: DeduplicationSettings,
) -> Deposit:
    """Return what is to be written for some new memories.

    Args:
        places: The new memories of one owner's project, or why one is none.
        kept: What is there.
        erased: Ids of the new ones that a deletion covers.
        actor: Who writes.
        unique: Whether what is remembered already is not stored again.
        now: Milliseconds since the epoch.
        settings: When a text counts as remembered.
    """
    # A single memory beside none has no twin.
    pool = None
    if unique and (kept.visible or len(places) > 1):
        pool = Pool(kept.visible, room=len(places), settings=settings)
    return _Depositor(kept, pool, actor=actor, now=now).run(places, erased)


class _Depositor:
    def __init__(self, kept: Kept, pool: Pool | None, *, actor: Actor, now: int) -> None:
        self._pool = pool
        self._there: Mapping[str, MemoryRecord] = {record.id: record for record in kept.there}
        self._apart = {content_digest(record.content): record for record in kept.apart}
        self._replaced = kept.replaced
        self._actor = actor
        self._now = now
        self._done = Deposit()

    def run(self, places: Sequence[MemoryRecord | Dropped], erased: Collection[str]) -> Deposit:
        for place in places:
            if isinstance(place, Dropped):
                self._settle(Outcome(Fate.DROPPED, None, place.reason))
            elif place.id in erased:
                self._settle(Outcome(Fate.DROPPED, None, "deleted_meanwhile"))
            else:
                self._settle(self._place(place))
        return self._done

    def _settle(self, outcome: Outcome) -> None:
        self._done.outcomes.append(outcome)

    def _place(self, new: MemoryRecord) -> Outcome:
        there = self._there.get(new.id)
        if there is not None:
            return Outcome(Fate.KNOWN, there, TRIED_AGAIN)
        if self._pool is not None:
            twin = self._pool.twin(new)
            if twin is not None and (new.quarantine is None or twin.kind == "exact_duplicate"):
                return self._known(new, twin, self._pool)
        return self._added(new) if new.quarantine is None else self._quarantined(new)

    def _added(self, new: MemoryRecord) -> Outcome:
        old = next((old for old in self._replaced if same_turn(old, new) and same_words(old, new)), None)
        if old is not None:
            return Outcome(Fate.KNOWN, old, "replaced_already")
        self._done.put[new.id] = new
        self._done.new.append(new.id)
        if self._pool is not None:
            self._pool.add(new)
        return Outcome(Fate.STORED, new)

    def _known(self, new: MemoryRecord, twin: Twin, pool: Pool) -> Outcome:
        old = twin.record
        if old.id in self._done.new or (twin.kind == "exact_duplicate" and same_turn(old, new)):
            return Outcome(Fate.KNOWN, old, twin.kind)
        if new.quarantine is None and outranks(new, old):
            return self._replaced_by(new, twin, pool)
        fresh = refreshed(old, new, kind=twin.kind, actor=self._actor, now=self._now)
        self._done.put[old.id] = fresh
        pool.change(old, fresh)
        return Outcome(Fate.KNOWN, fresh, twin.kind)

    def _replaced_by(self, new: MemoryRecord, twin: Twin, pool: Pool) -> Outcome:
        heir, old = outranked(twin.record, new, kind=twin.kind, actor=self._actor, now=self._now)
        self._done.put |= {heir.id: heir, old.id: old}
        self._done.new.append(heir.id)
        self._done.superseded.add(old.id)
        pool.change(twin.record, heir)
        return Outcome(Fate.STORED, heir, "higher_trust")

    def _quarantined(self, new: MemoryRecord) -> Outcome:
        digest = content_digest(new.content)
        old = self._apart.get(digest)
        if old is not None:
            return Outcome(Fate.QUARANTINED, old, "exact_duplicate")
        self._apart[digest] = self._done.put[new.id] = new
        return Outcome(Fate.QUARANTINED, new, new.quarantine)
