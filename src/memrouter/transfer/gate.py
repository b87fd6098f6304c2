"""What every memory passes on its way in. One function, so that other checks can be put in front of or behind it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from msgspec.structs import replace

from memrouter.errors import InvalidRequest
from memrouter.memory.screening.screen import Rejected, Screen
from memrouter.memory.storing.admission import screening_entries
from memrouter.memory.storing.drafts import check_content, storable_text
from memrouter.models.history import Actor, Event, appended
from memrouter.models.memory import MAX_CONTENT_BYTES, MemoryRecord, Trust, cut_to_bytes
from memrouter.transfer.format import NO_VECTOR


@dataclass(frozen=True, slots=True)
class Refused:
    """A memory must not come in.

    Attributes:
        reason: Why, without any memory text or user id.
    """

    reason: str


Gate: TypeAlias = Callable[[MemoryRecord], MemoryRecord | Refused]
"""Gives back the memory as it may come in, or says why it must not.

A memory whose content it changes has ``NO_VECTOR``: its vector is made anew. Called in a thread; pure.
"""


def storable(record: MemoryRecord) -> MemoryRecord | Refused:
    """Let a memory in whose content can be kept, just as it is.

    A content that this version would not store, as other routers may have, is made storable as a chat turn is: cut to
    16,384 bytes, without control characters. One that is empty then is refused.
    """
    if _can_be_kept(record.content):
        return record
    content = cut_to_bytes(storable_text(record.content)).strip()
    if not content:
        return Refused("its content has no visible character")
    return replace(record, content=content, embedding=NO_VECTOR)


def _can_be_kept(content: str) -> bool:
    """Return whether a content can be stored as it stands, the white space at its ends included."""
    try:
        check_content(content)
    except InvalidRequest:
        return False
    return len(content.encode()) <= MAX_CONTENT_BYTES


def unproven(record: MemoryRecord, *, now: int) -> MemoryRecord | Refused:
    """Let a memory in that nobody but its owner-to-be vouches for: as ``storable``, and less is believed of it.

    A file proves neither whose words it holds nor when they were said: its trust becomes ``import``, the lowest, and
    no time of it lies after ``now``.

    Args:
        record: The memory.
        now: Milliseconds since the epoch.
    """
    passed = storable(record)
    if isinstance(passed, Refused):
        return passed
    accessed = passed.last_accessed
    return replace(
        passed,
        trust=Trust.IMPORT,
        created_at=min(passed.created_at, now),
        updated_at=min(passed.updated_at, now),
        last_accessed=None if accessed is None else min(accessed, now),
    )


class ScreenedGate:
    """A ``Gate`` that lets in what another one does, and screens it as everything that is written is.

    Secrets are taken out, what tries to instruct the model is kept apart, and system prompts and recalled memories are
    refused. A memory that is kept apart already stays so.

    Args:
        inner: The other gate.
        screen: The rules.
        now: Milliseconds since the epoch.
        believed: Whether a memory that was released from quarantine, as its history tells, is let in as released.
    """

    def __init__(self, inner: Gate, screen: Screen, *, now: int, believed: bool) -> None:
        self._inner = inner
        self._screen = screen
        self._now = now
        self._believed = believed

    def __call__(self, record: MemoryRecord) -> MemoryRecord | Refused:
        """Return the memory as it may come in, or why it must not."""
        passed = self._inner(record)
        if isinstance(passed, Refused):
            return passed
        screened = self._screen.screen(passed.content, trust=passed.trust, role=passed.role, explicit=True)
        if isinstance(screened, Rejected):
            return Refused(f"its content is not kept: {screened.reason}")
        if passed.quarantine is not None or (self._believed and _released(passed)):
            screened = dataclasses.replace(screened, quarantine=None)
        changed = screened.content != passed.content
        if not changed and screened.quarantine is None:
            return passed
        return replace(
            passed,
            content=screened.content,
            embedding=NO_VECTOR if changed else passed.embedding,
            quarantine=passed.quarantine or screened.quarantine,
            history=appended(passed.history, *screening_entries(screened, actor=Actor.IMPORT, now=self._now)),
        )


def _released(record: MemoryRecord) -> bool:
    told = [entry.event for entry in record.history if entry.event in (Event.QUARANTINED, Event.RELEASED)]
    return told[-1:] == [Event.RELEASED]
