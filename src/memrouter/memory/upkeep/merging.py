"""What several memories become that are merged, and how that is taken back. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from memrouter.memory.storing.trust import lowest
from memrouter.models.history import Actor, Event, HistoryEntry, appended
from memrouter.models.memory import MemoryRecord, Source, Vector

MERGED: Final = "merged"
"""Rule of a consolidation that made one memory out of several."""
REPEATED: Final = "repeated_by_turns"
"""Rule of a consolidation for which a memory that was there already stands in."""
FROM_CONVERSATION: Final = "from_conversation"
"""Rule of the entries that name the conversations which a merged memory comes from."""

MOST_CONVERSATIONS: Final = 16
"""Most conversations that a merged memory may come from: its history names them all, for when one is forgotten."""
MOST_UNDOINGS: Final = 16
"""Most undoings that a merged memory may remember."""


def merged(
    members: Sequence[MemoryRecord], *, memory_id: str, content: str, embedding: Vector, now: int
) -> MemoryRecord:
    """Return the memory that stands for others: earliest date, highest importance, lowest trust, latest expiry.

    Accesses are added up, since of memories that say the same only one is put into a prompt. It links to the members
    and to what they link to. Its history names every conversation that one of them comes from, and keeps what was
    undone of them, so that it is not merged with what they were parted from.

    Args:
        members: At least two of one user, project, type and embedding model, in the order of their creation.
        memory_id: Its id.
        content: Its text.
        embedding: Vector of the text.
        now: Milliseconds since the epoch.
    """
    first = members[0]
    named = {member.conversation_id for member in members}
    roles = {member.role for member in members}
    accesses = [member.last_accessed for member in members if member.last_accessed is not None]
    expiries = [member.expires_at for member in members if member.expires_at is not None]
    created = HistoryEntry(now, Event.CREATED, Actor.CONSOLIDATION, f"{MERGED}:{len(members)}")
    return replace(
        first,
        id=memory_id,
        content=content,
        embedding=embedding,
        created_at=min(member.created_at for member in members),
        updated_at=max(member.updated_at for member in members),
        source=Source.CONSOLIDATION,
        trust=lowest(member.trust for member in members),
        importance=max(member.importance for member in members),
        last_accessed=max(accesses, default=None),
        expires_at=max(expiries) if len(expiries) == len(members) else None,
        access_count=sum(member.access_count for member in members),
        conversation_id=first.conversation_id if len(named) == 1 else None,
        turn_index=first.turn_index if len(named) == 1 else None,
        role=first.role if len(roles) == 1 else None,
        links=_links(members),
        history=(created, *(_origin(name, now) for name in conversations(members)), *undoings(members)),
    )


def replaced(record: MemoryRecord, *, by: str, rule: str, now: int) -> MemoryRecord:
    """Return a memory as it is kept once ``by`` stands for it."""
    entry = HistoryEntry(now, Event.CONSOLIDATED, Actor.CONSOLIDATION, rule, by)
    return replace(record, superseded_by=by, updated_at=now, history=appended(record.history, entry))


def restored(record: MemoryRecord, *, actor: Actor, now: int) -> MemoryRecord:
    """Return a memory as it is once nothing stands for it any more; it is not merged with the same ones again."""
    entry = HistoryEntry(now, Event.RESTORED, actor, "consolidation", record.superseded_by)
    return replace(record, superseded_by=None, updated_at=now, history=appended(record.history, entry))


def consolidated_by(record: MemoryRecord) -> HistoryEntry | None:
    """Return how a memory came to be replaced, where that was by consolidation; None where it was not."""
    entry = next((entry for entry in reversed(record.history) if entry.ref == record.superseded_by), None)
    return entry if entry is not None and entry.event is Event.CONSOLIDATED else None


def edited(record: MemoryRecord) -> bool:
    """Return whether a merged memory's text or settings were changed since."""
    return any(entry.event is Event.EDITED for entry in record.history)


def same(member: MemoryRecord, other: MemoryRecord) -> bool:
    """Return whether a memory is still as it was when it was grouped, in all that matters for merging."""
    return (
        member.content == other.content
        and member.type is other.type
        and member.project_id == other.project_id
        and member.source is other.source
    )


def conversations(members: Sequence[MemoryRecord]) -> list[str]:
    """Return the conversations that memories come from, also those of what they were merged from."""
    return list(dict.fromkeys(name for member in members for name in _came_from(member)))


def undoings(members: Sequence[MemoryRecord]) -> list[HistoryEntry]:
    """Return what was undone of memories, once for each memory that had stood for one."""
    entries = (entry for member in members for entry in member.history if entry.event is Event.RESTORED)
    return list({entry.ref: entry for entry in entries}.values())


def _origin(conversation: str, now: int) -> HistoryEntry:
    return HistoryEntry(now, Event.CREATED, Actor.CONSOLIDATION, FROM_CONVERSATION, conversation)


def _links(members: Sequence[MemoryRecord]) -> tuple[str, ...]:
    own = [member.id for member in members]
    return tuple(dict.fromkeys([*own, *(link for member in members for link in member.links)]))


def _came_from(member: MemoryRecord) -> Iterable[str]:
    if member.conversation_id is not None:
        yield member.conversation_id
    yield from (entry.ref for entry in member.history if entry.ref is not None and entry.rule == FROM_CONVERSATION)
