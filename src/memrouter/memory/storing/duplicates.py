"""What is remembered already: finding a text's twin, and what the two become. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from msgspec.structs import replace

from memrouter.config.keeping import DeduplicationSettings
from memrouter.memory.extraction.relative_dates import without_dates
from memrouter.memory.storing.agreement import agree
from memrouter.memory.storing.replacement import REPLACES
from memrouter.memory.storing.trust import above
from memrouter.models.history import Actor, Event, HistoryEntry, appended
from memrouter.models.memory import Matrix, MemoryRecord, Source, content_digest

_AGREEING: Final = 8
"""Most memories whose words are compared with one text; the nearest ones."""

MAX_SOURCES: Final = 64
"""Most turns that a fact which is said again and again is linked to; the latest ones."""

Kind = Literal["exact_duplicate", "near_duplicate"]


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """A memory that says the same already, and how that was found."""

    record: MemoryRecord
    kind: Kind


class Pool:
    """Memories of one owner's project among which twins are looked for; grows by what is to be stored.

    Args:
        records: Visible memories; ids may repeat.
        room: How many more may be added.
        settings: When a text counts as remembered.
    """

    def __init__(self, records: Iterable[MemoryRecord], *, room: int, settings: DeduplicationSettings) -> None:
        self._settings = settings
        self._records = list({record.id: record for record in records}.values())
        self._places = {content_digest(record.content): place for place, record in enumerate(self._records)}
        self._turns: dict[object, list[MemoryRecord]] = {}
        for record in self._records:
            self._note_turn(record)
        dimension = len(self._records[0].embedding) if self._records else 0
        self._matrix: Matrix = np.zeros((len(self._records) + room, dimension), dtype=np.float32)
        for place, record in enumerate(self._records):
            self._matrix[place] = record.embedding

    def twin(self, record: MemoryRecord) -> Twin | None:
        """Return the memory that says what ``record`` says, the nearest one first; None if there is none."""
        place = self._places.get(content_digest(record.content))
        if place is not None:
            return Twin(self._records[place], "exact_duplicate")
        replayed = next((old for old in self._turns.get(_turn(record), ()) if same_words(old, record)), None)
        if replayed is not None:
            return Twin(replayed, "exact_duplicate")
        if not self._settings.enabled or not self._records:
            return None
        for near in self._nearest(record):
            if agree(record.content, near.content):
                return Twin(near, "near_duplicate")
        return None

    def add(self, record: MemoryRecord) -> None:
        """Take in a memory that is to be stored."""
        if not self._matrix.shape[1]:
            self._matrix = np.zeros((self._matrix.shape[0], len(record.embedding)), dtype=np.float32)
        self._matrix[len(self._records)] = record.embedding
        self._places[content_digest(record.content)] = len(self._records)
        self._records.append(record)
        self._note_turn(record)

    def change(self, old: MemoryRecord, new: MemoryRecord) -> None:
        """Let ``new`` stand in the place of ``old``; their vectors may differ."""
        place = next(place for place, record in enumerate(self._records) if record.id == old.id)
        self._records[place] = new
        self._matrix[place] = new.embedding
        self._places[content_digest(new.content)] = place

    def _note_turn(self, record: MemoryRecord) -> None:
        if _turn(record) is not None:
            self._turns.setdefault(_turn(record), []).append(record)

    def _nearest(self, record: MemoryRecord) -> Sequence[MemoryRecord]:
        # Not a product by BLAS, whose threads wait for one another on a busy machine.
        scores = (1 + np.einsum("ij,j->i", self._matrix[: len(self._records)], record.embedding)) / 2
        # A hair less than the threshold counts too: the same text need not give the same last bits.
        enough = np.flatnonzero(scores >= self._settings.similarity_threshold - 1e-6)
        best = enough[np.argsort(-scores[enough], kind="stable")][:_AGREEING]
        return [self._records[place] for place in best]


def refreshed(old: MemoryRecord, again: MemoryRecord, *, kind: Kind, actor: Actor, now: int) -> MemoryRecord:
    """Return ``old`` with what it gains by being said again.

    It is seen anew, is as important as the more important of the two and lives as long as the longer-lived. Its text,
    trust and day stay; a fact is linked to the turns that say so again. One entry of its history tells when it was last
    said again, and how often.
    """
    return replace(
        old,
        links=_sources(old, again),
        updated_at=max(old.updated_at, now),
        importance=max(old.importance, again.importance),
        expires_at=_later(old.expires_at, again.expires_at),
        history=_said_again(old, again, kind=kind, actor=actor, now=now),
    )


def outranked(old: MemoryRecord, new: MemoryRecord, *, kind: Kind, actor: Actor, now: int) -> tuple[MemoryRecord, ...]:
    """Return both memories where the same was said by somebody who is believed more: the new one replaces the old."""
    heir = replace(
        new,
        importance=max(old.importance, new.importance),
        expires_at=_later(old.expires_at, new.expires_at),
        pinned=old.pinned,
        links=tuple(dict.fromkeys((*new.links, old.id))),
        history=appended(new.history, HistoryEntry(now, Event.CREATED, actor, f"higher_trust:{kind}", old.id)),
    )
    entry = HistoryEntry(now, Event.SUPERSEDED, actor, f"higher_trust:{kind}", new.id)
    return heir, replace(old, superseded_by=new.id, updated_at=now, history=appended(old.history, entry))


def outranks(new: MemoryRecord, old: MemoryRecord) -> bool:
    """Return whether a text's new source is believed more than that of the memory that holds it."""
    return above(new.trust, old.trust)


def same_turn(one: MemoryRecord, other: MemoryRecord) -> bool:
    """Return whether two memories come from the same turn, as when a conversation is replayed."""
    return _turn(one) is not None and _turn(one) == _turn(other)


def same_words(one: MemoryRecord, other: MemoryRecord) -> bool:
    """Return whether two memories hold the same words, whatever day a relative date in them was taken to mean."""
    texts = (without_dates(record.content) for record in (one, other))
    return len(set(map(content_digest, texts))) == 1


def _turn(record: MemoryRecord) -> tuple[str, int, Source] | None:
    """Return from which turn a memory comes; None where that is not known."""
    if record.conversation_id is None or record.turn_index is None:
        return None
    return record.conversation_id, record.turn_index, record.source


def _later(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


def _sources(old: MemoryRecord, again: MemoryRecord) -> tuple[str, ...]:
    if not (old.source is again.source is Source.EXTRACTION):
        return old.links
    return tuple(dict.fromkeys((*old.links, *again.links)))[-MAX_SOURCES:]


def _said_again(
    old: MemoryRecord, again: MemoryRecord, *, kind: Kind, actor: Actor, now: int
) -> tuple[HistoryEntry, ...]:
    before = [entry for entry in old.history if entry.event is Event.REFRESHED and entry.rule != REPLACES]
    times = 1 + sum(_times(entry) for entry in before)
    elsewhere = again.conversation_id if again.conversation_id != old.conversation_id else None
    entry = HistoryEntry(now, Event.REFRESHED, actor, f"{kind}:{times}", elsewhere)
    return appended(tuple(kept for kept in old.history if kept not in before), entry)


def _times(entry: HistoryEntry) -> int:
    _, _, count = (entry.rule or "").partition(":")
    return int(count) if count.isdecimal() else 1
