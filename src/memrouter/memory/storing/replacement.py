"""What becomes of two memories of which one takes the other's place, and how that is taken back. Pure."""

from typing import Final

from msgspec.structs import replace

from memrouter.models.history import Actor, Event, HistoryEntry, appended
from memrouter.models.memory import MemoryRecord

REPLACES: Final = "replaces"
"""Rule of the entry of a memory that took another one's place, which ``ref`` names."""
UNDONE: Final = "undone"
"""Rule of the entries that an undone replacement leaves."""


def made_to_replace(new: MemoryRecord, old: MemoryRecord, *, actor: Actor, now: int) -> MemoryRecord:
    """Return a new memory that takes the place of ``old``: as important, pinned where that was, linked to it."""
    entry = HistoryEntry(now, Event.CREATED, actor, REPLACES, old.id)
    return replace(linked(new, old), pinned=old.pinned, history=appended(new.history, entry))


def stands_in(twin: MemoryRecord, old: MemoryRecord, *, actor: Actor, now: int) -> MemoryRecord:
    """Return a memory that was there already and now takes the place of ``old`` as well."""
    entry = HistoryEntry(now, Event.REFRESHED, actor, REPLACES, old.id)
    return replace(linked(twin, old), updated_at=max(now, twin.updated_at), history=appended(twin.history, entry))


def superseded(old: MemoryRecord, by: str, *, actor: Actor, now: int, rule: str | None = None) -> MemoryRecord:
    """Return a memory whose place another one takes."""
    entry = HistoryEntry(now, Event.SUPERSEDED, actor, rule, by)
    return replace(old, superseded_by=by, updated_at=now, history=appended(old.history, entry))


def restored(old: MemoryRecord, *, actor: Actor, now: int) -> MemoryRecord:
    """Return a memory that is no longer replaced."""
    entry = HistoryEntry(now, Event.RESTORED, actor, UNDONE, old.superseded_by)
    return replace(old, superseded_by=None, updated_at=now, history=appended(old.history, entry))


def unlinked(record: MemoryRecord, old: MemoryRecord) -> MemoryRecord:
    """Return a memory without its link to another one."""
    return replace(record, links=tuple(link for link in record.links if link != old.id))


def linked(record: MemoryRecord, old: MemoryRecord) -> MemoryRecord:
    """Return a memory with a link to another one."""
    return replace(record, links=tuple(dict.fromkeys((*record.links, old.id))))


def took_the_place(record: MemoryRecord, old: MemoryRecord) -> bool:
    """Return whether a memory is found only because ``old`` is not: it was written, or came back, in its place."""
    return any(entry.event in (Event.CREATED, Event.RESTORED) and entry.ref == old.id for entry in record.history)


def was_undone(record: MemoryRecord) -> bool:
    """Return whether a superseded memory is so because its own replacement of another one was undone."""
    entry = next((entry for entry in reversed(record.history) if entry.event is Event.SUPERSEDED), None)
    return entry is not None and entry.rule == UNDONE
