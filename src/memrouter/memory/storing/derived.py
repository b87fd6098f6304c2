"""What goes along with memories that are deleted: all that holds their text or was drawn from them alone. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from memrouter.memory.extraction.relative_dates import without_dates
from memrouter.memory.extraction.source_turns import is_source
from memrouter.memory.storing.extract import WINDOW_BREAK, WINDOW_TURNS
from memrouter.models.history import Actor, Event, HistoryEntry, appended
from memrouter.models.memory import MemoryRecord, Source, content_digest

_TAKEN_UP: Final = frozenset({Event.EDITED, Event.REFRESHED})


@dataclass(frozen=True, slots=True)
class Removal:
    """What a deletion comes to.

    Attributes:
        gone: Ids of all that goes.
        freed: Memories that only a merged one which goes kept out of sight, as they are kept.
        unlinked: Other memories that stay, without their links to what goes.
    """

    gone: frozenset[str]
    freed: tuple[MemoryRecord, ...]
    unlinked: tuple[MemoryRecord, ...]


def removal(ids: Iterable[str], kept: Mapping[str, MemoryRecord]) -> Removal:
    """Return what has to go for some memories to be gone.

    With them go, over as many steps as there are: what they replaced, since it was kept only so that it could be
    undone; the windows that hold their text; and the facts that were drawn from them alone, unless their owner has
    pinned or edited them, or said the same. Then what any of these was merged into, since the text stands there too.

    Args:
        ids: Memories to delete; those that are not kept do not matter.
        kept: The owner's memories by id. Those that have no links, are not replaced and are no window matter only
            where they are to go, or a fact may be drawn from them.
    """
    gone = {memory_id: kept[memory_id] for memory_id in ids if memory_id in kept}
    while found := [record for record in kept.values() if record.id not in gone and _hangs_on(record, gone, kept)]:
        gone |= {record.id: record for record in found}
    members = {record.superseded_by for record in kept.values()}
    while found := [record for record in kept.values() if record.id not in gone and _merged_of(record, gone, members)]:
        gone |= {record.id: record for record in found}
    left = [_unlinked(record, gone) for record in kept.values() if record.id not in gone]
    freed = tuple(record for record in left if record.superseded_by in gone)
    unlinked = (record for record in left if record is not kept[record.id] and record.superseded_by not in gone)
    return Removal(frozenset(gone), freed, tuple(unlinked))


def freed_again(record: MemoryRecord, *, actor: Actor, now: int) -> MemoryRecord:
    """Return a memory that is found again, since the merged one that stood for it was deleted."""
    entry = HistoryEntry(now, Event.RESTORED, actor, "merged_memory_deleted", record.superseded_by)
    return replace(record, superseded_by=None, updated_at=now, history=appended(record.history, entry))


def matters(record: MemoryRecord) -> bool:
    """Return whether a memory may bear on the deletion of another one; see ``removal``."""
    return bool(
        record.links or record.superseded_by is not None or record.source is Source.SESSION_WINDOW or is_source(record)
    )


def _hangs_on(record: MemoryRecord, gone: Mapping[str, MemoryRecord], kept: Mapping[str, MemoryRecord]) -> bool:
    if record.superseded_by in gone:
        return True
    if record.source is Source.SESSION_WINDOW:
        return any(_may_hold(record, turn) for turn in gone.values() if is_source(turn))
    return record.source is Source.EXTRACTION and _drawn_from(record, gone, kept)


def _drawn_from(fact: MemoryRecord, gone: Mapping[str, MemoryRecord], kept: Mapping[str, MemoryRecord]) -> bool:
    """Return whether a fact comes from a turn that goes and from none that stays."""
    if fact.pinned or any(entry.event in _TAKEN_UP and entry.actor is Actor.OWNER for entry in fact.history):
        return False
    sources = [kept[link] for link in fact.links if link in kept and is_source(kept[link])]
    return bool(sources) and all(source.id in gone for source in sources)


def _may_hold(window: MemoryRecord, turn: MemoryRecord) -> bool:
    """Return whether a window may hold a turn: by its place, also where either was edited or cut off, or by its words.

    A client that sends a part of its history has turns counted anew: by its place, a window more may go.
    """
    if window.project_id != turn.project_id:
        return False
    if window.conversation_id == turn.conversation_id and None not in (window.turn_index, turn.turn_index):
        behind = (window.turn_index or 0) - (turn.turn_index or 0)
        if 0 <= behind < WINDOW_TURNS:
            return True
    return _words(turn.content) in map(_words, window.content.split(WINDOW_BREAK))


def _words(text: str) -> str:
    return content_digest(without_dates(text))


def _merged_of(record: MemoryRecord, gone: Mapping[str, MemoryRecord], members: set[str | None]) -> bool:
    """Return whether a memory was merged of one that goes: that leads to it or, where its parts are gone, is linked."""
    if record.source is not Source.CONSOLIDATION:
        return False
    if any(part.superseded_by == record.id for part in gone.values()):
        return True
    return record.id not in members and not gone.keys().isdisjoint(record.links)


def _unlinked(record: MemoryRecord, gone: Mapping[str, MemoryRecord]) -> MemoryRecord:
    if gone.keys().isdisjoint(record.links):
        return record
    return replace(record, links=tuple(link for link in record.links if link not in gone))
