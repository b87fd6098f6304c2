"""What can be asked of a store, as data. No backend's syntax is known here."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from memrouter.errors import InvalidRequest
from memrouter.models.memory import MAX_ID_CHARS, MemoryRecord, MemoryType, Source, Vector

ALL_TYPES: frozenset[MemoryType] = frozenset(MemoryType)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which memories of a scope; every given part must hold.

    Attributes:
        ids: Only these ids; None for any.
        types: Only these types.
        sources: Only these sources; None for any.
        conversation_id: Only those of this conversation; None for any.
    """

    ids: frozenset[str] | None = None
    types: frozenset[MemoryType] = ALL_TYPES
    sources: frozenset[Source] | None = None
    conversation_id: str | None = None

    def holds(self, record: MemoryRecord) -> bool:
        """Return whether ``record`` is one of them."""
        return (
            (self.ids is None or record.id in self.ids)
            and record.type in self.types
            and (self.sources is None or record.source in self.sources)
            and self.conversation_id in (None, record.conversation_id)
        )


EVERYTHING = Filter()


NOTHING_HELD: Final = -(2**53)
"""As ``StoreQuery.known_generation``: no generation is this one, so memories are always read, and no cache is asked."""


@dataclass(frozen=True, slots=True, eq=False)
class StoreQuery:
    """The candidates for one retrieval, in one round trip.

    An owner with at most ``scan_limit`` visible memories is answered whole, so that the caller can rank vectors and
    words with true statistics. A larger one is answered by the ``k`` nearest vectors joined with the ``k`` newest
    memories that hold any of ``words``.

    Attributes:
        vector: Unit vector to search with; None asks for no vector side.
        words: Lower-case words for the word side; empty asks for none.
        k: How many candidates each side may give, at least 1.
        now: Milliseconds since the epoch; memories expired by then are invisible.
        where: Restricts both sides and the whole answer.
        scan_limit: Largest owner that is answered whole; 0 never answers whole.
        known_generation: The generation of an answer that the caller still holds. If it still stands, the store may
            answer ``unchanged`` without reading a memory.
    """

    vector: Vector | None
    k: int
    now: int
    words: tuple[str, ...] = ()
    where: Filter = EVERYTHING
    scan_limit: int = 0
    known_generation: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """A store's answer to a StoreQuery.

    Attributes:
        records: With embeddings. Nearest first where a vector was given (ties: newest first), else newest first.
            None where ``unchanged``.
        scores: ``vector_score`` of each record, 0 to 1; None where no vector was given or ``unchanged``.
        complete: True where ``records`` is everything visible under the query's filter.
        generation: The owner's generation number at the time of reading.
    """

    records: Sequence[MemoryRecord] | None
    scores: Sequence[float] | None
    complete: bool
    generation: int

    @property
    def unchanged(self) -> bool:
        """Return whether the answer that the caller holds still stands."""
        return self.records is None


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a newest-first list: the last memory already shown."""

    created_at: int
    id: str

    def encode(self) -> str:
        """Return the opaque form that goes to clients."""
        return base64.urlsafe_b64encode(f"{self.created_at}:{self.id}".encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Return the cursor behind an opaque form.

        Raises:
            InvalidRequest: ``text`` was not made by ``encode``.
        """
        try:
            raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
            created, _, memory_id = raw.decode().partition(":")
            cursor = cls(created_at=int(created), id=memory_id)
        except (ValueError, binascii.Error) as error:
            raise InvalidRequest("cursor is not one that this server gave out", param="cursor") from error
        if not 0 <= cursor.created_at < 2**63 or not 0 < len(cursor.id) <= MAX_ID_CHARS:
            raise InvalidRequest("cursor is not one that this server gave out", param="cursor")
        return cursor


@dataclass(frozen=True, slots=True)
class ListQuery:
    """One page of a scope's memories, newest first (``created_at``, then ``id``, both descending).

    Attributes:
        limit: Most memories on the page, at least 1.
        now: Milliseconds since the epoch; memories expired by then are invisible.
        where: Which memories.
        after: Where the previous page ended; None for the first page.
        include_superseded: Whether memories that were replaced are listed too.
        quarantined: Whether the quarantined memories are listed instead of the others.
    """

    limit: int
    now: int
    where: Filter = EVERYTHING
    after: Cursor | None = None
    include_superseded: bool = False
    quarantined: bool = False

    def shows(self, record: MemoryRecord) -> bool:
        """Return whether a memory of the scope is in the list, on whichever page."""
        return (
            self.where.holds(record)
            and record.living(self.now)
            and (record.quarantine is not None) is self.quarantined
            and (self.include_superseded or record.superseded_by is None)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """A page of memories.

    Attributes:
        records: The memories, newest first.
        total: How many memories the query matches in all, whatever the page.
        next: Where the next page starts; None on the last page.
    """

    records: Sequence[MemoryRecord]
    total: int
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class ScopeStats:
    """Figures about a scope's visible memories.

    Attributes:
        total: Number of memories.
        by_type: Number of each type that occurs.
        by_source: Number of each source that occurs.
        content_bytes: Sum of the UTF-8 sizes of their contents.
        oldest: ``created_at`` of the oldest in milliseconds; None if there is none.
        newest: ``created_at`` of the newest in milliseconds; None if there is none.
    """

    total: int
    by_type: dict[MemoryType, int]
    by_source: dict[Source, int]
    content_bytes: int
    oldest: int | None
    newest: int | None


@dataclass(frozen=True, slots=True)
class ScanQuery:
    """What to read when everything that a store keeps is moved: superseded and expired memories too.

    Attributes:
        user_id: Only this user's memories; None for every user's.
        where: Which memories.
        after: ``position`` of the last page that was dealt with, from this scan or an earlier one; None starts anew.
        page: About how many memories a page has, at least 1; a store may give fewer or, for rows that go together, a
            few more.
    """

    user_id: str | None = None
    where: Filter = EVERYTHING
    after: str | None = None
    page: int = 500


@dataclass(frozen=True, slots=True, eq=False)
class ScanPage:
    """A few memories of a scan.

    Attributes:
        records: With embeddings and access counts; never empty.
        position: Opaque; the scan goes on behind this page when given as ``ScanQuery.after``.
    """

    records: Sequence[MemoryRecord]
    position: str


class MergeMode(StrEnum):
    """What to do with a record whose owner has a memory of the same id already."""

    SKIP = "skip"
    REPLACE = "replace"
    NEWER = "newer"
    """Replace where the record's ``updated_at`` is later."""

    def outcome(self, record: MemoryRecord, *, held: int | None) -> "Merged":
        """Return what becomes of a record.

        Args:
            record: What is brought in.
            held: ``updated_at`` of the memory of the same id and owner; None where there is none.
        """
        if held is None:
            return Merged.ADDED
        stays = self is MergeMode.SKIP or (self is MergeMode.NEWER and record.updated_at <= held)
        return Merged.KEPT if stays else Merged.REPLACED


class Merged(StrEnum):
    """What became of a record that was merged in."""

    ADDED = "added"
    REPLACED = "replaced"
    KEPT = "kept"
    """The memory that was there stays as it was."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What is to become of one user's memories, in one atomic step; it raises the generation also where it is empty.

    Attributes:
        user_id: The owner of everything that is named here, in any project.
        after: The owner's generation number that must still stand; what was read at it holds.
        put: Memories as they are to be: added, or in the place of the one with the same id. No id twice. The access
            count and time of a memory that is replaced stay where they are the greater.
        remove: Ids of memories that are to be gone for good; those that are absent do not matter. None of ``put``.

    Raises:
        ValueError: A memory of ``put`` is another user's, or is to be removed as well.
    """

    user_id: str
    after: int
    put: Sequence[MemoryRecord] = ()
    remove: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if any(record.user_id != self.user_id for record in self.put):
            raise ValueError("a change names memories of one user alone")
        if not self.remove.isdisjoint(record.id for record in self.put):
            raise ValueError("a change cannot put and remove the same memory")

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of everything that it names."""
        return self.remove.union(record.id for record in self.put)
