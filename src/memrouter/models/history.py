"""What happened to a memory since it was written: an append-only list that stands in the memory itself."""

from enum import StrEnum
from typing import Final

import msgspec

MAX_HISTORY: Final = 64
"""Most entries of one memory; past it the oldest but the first give way."""


class Event(StrEnum):
    """What happened."""

    CREATED = "created"
    REFRESHED = "refreshed"
    """The same was said again, so nothing was added."""
    EDITED = "edited"
    SUPERSEDED = "superseded"
    """Another memory took its place; ``ref`` names it."""
    RESTORED = "restored"
    """A supersession or consolidation was undone; ``ref`` names the memory that had taken its place."""
    CONSOLIDATED = "consolidated"
    """It was merged into the memory that ``ref`` names."""
    QUARANTINED = "quarantined"
    RELEASED = "released"
    PINNED = "pinned"
    UNPINNED = "unpinned"


class Actor(StrEnum):
    """Who or what did it."""

    ROUTER = "router"
    """A chat turn that was remembered."""
    OWNER = "owner"
    """The user, through the API, MCP or the library."""
    OPERATOR = "operator"
    """Whoever runs the router, from the command line."""
    EXTRACTION = "extraction"
    CONSOLIDATION = "consolidation"
    IMPORT = "import"


class HistoryEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that happened to a memory. Holds no memory text.

    Attributes:
        at: When, in milliseconds since the epoch.
        event: What.
        actor: Who or what did it.
        rule: By which rule or why, at most 200 characters, such as ``turn``, ``near_duplicate`` or
            ``redacted:card_number=1``; None where there is nothing to say.
        ref: Id of another memory that has to do with it, or a conversation; None for none.
    """

    at: int
    event: Event
    actor: Actor
    rule: str | None = None
    ref: str | None = None


def appended(history: tuple[HistoryEntry, ...], *entries: HistoryEntry) -> tuple[HistoryEntry, ...]:
    """Return a history with entries behind it; what is over ``MAX_HISTORY`` goes from behind the first one."""
    longer = (*history, *entries)
    over = len(longer) - MAX_HISTORY
    return longer if over <= 0 else (longer[0], *longer[1 + over :])
