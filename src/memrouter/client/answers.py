"""What a router answers, typed. Fields that a newer router adds are passed over, so that clients need not keep step."""

from datetime import datetime
from typing import Any

import msgspec

from memrouter.models.history import Actor, Event
from memrouter.models.memory import DEFAULT_PROJECT, MemoryType, Source, Trust


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """A memory as its owner sees it; times are aware, in UTC. For the fields see ``MemoryRecord``."""

    id: str
    content: str
    user_id: str
    project_id: str = DEFAULT_PROJECT
    type: MemoryType
    source: Source
    trust: Trust
    importance: float
    created_at: datetime
    updated_at: datetime
    last_accessed: datetime | None = None
    expires_at: datetime | None = None
    access_count: int = 0
    conversation_id: str | None = None
    turn_index: int | None = None
    role: str | None = None
    superseded_by: str | None = None
    quarantine: str | None = None
    """The rule for which it is kept apart and never recalled; None where it is not."""
    pinned: bool = False
    links: tuple[str, ...] = ()
    embedding_model: str = ""


class FoundMemory(Memory, frozen=True, kw_only=True):
    """A memory that a search found, with its scores from 0 to 1."""

    score: float
    vector_score: float
    lexical_score: float
    explanation: dict[str, Any] | None = None
    """With ``explain``: cosine, margin and the words that it shares with the question."""


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found, best first."""

    memories: tuple[FoundMemory, ...]
    best_miss: float | None = None
    """Highest score that fell short of the threshold."""
    considered: int = 0
    """How many memories were ranked."""
    threshold: float = 0.0
    near_miss: dict[str, Any] | None = None
    """With ``explain``: the memory that ``best_miss`` is the score of."""
    candidates: tuple[dict[str, Any], ...] | None = None
    """With ``explain``: what became of every memory that was ranked, as ``POST /v1/memory/search`` tells it."""


class MemoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of memories, newest first."""

    memories: tuple[Memory, ...]
    total: int
    """How many there are on all pages."""
    next_cursor: str | None = None
    """Names the next page; None on the last one."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one memory that was to be added."""

    outcome: str
    """``stored``; ``known``: it was remembered already; ``quarantined``: kept apart; ``dropped``: not kept."""
    reason: str | None = None
    """Why it was dropped, how it was known, or the rule of the quarantine."""
    id: str | None = None
    """The memory that holds it; None where it was dropped."""


class AddedMemories(msgspec.Struct, frozen=True, kw_only=True):
    """What became of memories that were to be added."""

    memories: tuple[Memory, ...]
    """Those that hold what was kept, in the order of the request."""
    outcomes: tuple[Outcome, ...] = ()
    """One for each memory of the request, in its order."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What was erased, without saying what it was."""

    count: int
    erased_at: datetime
    sha256: str
    """Over the ids of the erased memories, sorted, each followed by a line end; 64 hex digits."""


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """Memories are gone."""

    deleted: int = 1
    receipt: Receipt | None = None


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Figures about the visible memories."""

    total: int
    by_type: dict[str, int]
    by_source: dict[str, int]
    content_bytes: int
    oldest: datetime | None = None
    newest: datetime | None = None


class HistoryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a memory; see ``HistoryEntry``."""

    at: datetime
    event: Event
    actor: Actor
    rule: str | None = None
    ref: str | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a memory, and the memories that replaced one another."""

    history: tuple[HistoryEvent, ...]
    """Oldest first, beginning with how it came to be written."""
    chain: tuple[Memory, ...] = ()
    """The memory with those that it replaced and those that replaced it, in the order of their creation."""


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of imported memories; the first six add up to ``read``."""

    added: int
    replaced: int
    kept: int
    refused: int
    left_out: int
    duplicates: int
    read: int
    reembedded: int = 0
    mended: int = 0
    renamed: int = 0
    quarantined: int = 0
    evicted: int = 0
    refusals: tuple[dict[str, Any], ...] = ()
    """Line and reason of the first ones that were refused."""
    sha256: str = ""


class Merger(msgspec.Struct, frozen=True, kw_only=True):
    """Memories that one memory stands for now, or would."""

    id: str | None
    """The memory that stands for the others; None where it would have to be made first."""
    sources: tuple[str, ...]
    rule: str
    similarity: float | None = None
    by_model: bool = False


class Consolidation(msgspec.Struct, frozen=True, kw_only=True):
    """What was merged, or would be."""

    dry_run: bool
    merged: tuple[Merger, ...]
    fewer: int
    """By how many the memories that can be found became fewer, or would."""
    refused: int = 0
    outdated: int = 0
    finished: bool = True
    """False where there is more to merge than one call does."""
