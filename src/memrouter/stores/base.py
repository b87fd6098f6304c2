"""The one interface that every memory store and every wrapper of a store satisfies. No driver is known here."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.query import (
    Candidates,
    Change,
    Filter,
    ListQuery,
    Merged,
    MergeMode,
    Page,
    ScanPage,
    ScanQuery,
    ScopeStats,
    StoreQuery,
)
from memrouter.stores.state import StateStore


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store is, for messages, metrics and tests.

    Attributes:
        backend: Short name such as ``sqlite``; a metric label.
        dimension: Length of the vectors it keeps.
        embedding_model: Name of the model whose vectors it keeps.
        exact: Whether vector search is exact; False for graph indexes.
    """

    backend: str
    dimension: int
    embedding_model: str
    exact: bool


class MemoryStore(Protocol):
    """Keeps memories, one owner apart from another.

    Every read and delete takes a scope and touches nothing outside it. Every write raises the owner's generation
    number in the same atomic step; counting accesses does not. All methods may raise ``StoreUnavailable``. A write
    that returned is durable and is seen by the next read, from this process at once.
    """

    @property
    def capabilities(self) -> Capabilities:
        """Return what this store is; needs no I/O."""
        ...

    async def create(self, records: Sequence[MemoryRecord], *, unique_content: bool = False) -> list[str]:
        """Store new memories, for each owner all or none of them.

        A store that can may hold it so over all owners of a call; vectors are checked before anything is stored.

        Args:
            records: Any owners. Vectors must be finite, of unit length and of this store's dimension and model.
            unique_content: Where a living memory (not superseded, not expired at the record's ``created_at``) of
                the same user and project has the same content digest, or an earlier record of this call has it,
                nothing is added for that record and the id of that memory is returned instead.

        Returns:
            For each record, the id under which its content is now kept.

        Raises:
            MemoryConflict: An id exists already for its owner, or occurs twice; nothing was stored for that owner.
                Whether two owners may have the same id is the store's choice; neither ever sees the other's.
            SchemaMismatch: A vector is of another dimension or model; nothing was stored.
        """
        ...

    async def get(self, scope: Scope, ids: Sequence[str], *, now: int) -> list[MemoryRecord]:
        """Return the memories with these ids, in the order of ``ids``, superseded ones included.

        An id that is absent, expired at ``now`` or of another owner is left out.
        """
        ...

    async def list(self, scope: Scope, query: ListQuery) -> Page:
        """Return one page of the scope's memories, newest first, with the exact total."""
        ...

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        """Return the candidates for a retrieval; only visible memories."""
        ...

    async def touch(self, scope: Scope, ids: Sequence[str], *, now: int) -> int:
        """Count one access at ``now`` for each living memory among ``ids``; return how many were counted.

        Never re-indexes a vector, never brings a deleted memory back and leaves the generation as it is.
        """
        ...

    async def delete(self, scope: Scope, where: Filter) -> int:
        """Remove the scope's memories that match, superseded and expired ones too; return how many.

        Nothing to remove is 0 and no error. A removed memory is gone from every index and from reads at once.
        """
        ...

    async def stats(self, scope: Scope, *, now: int) -> ScopeStats:
        """Return figures about the scope's visible memories."""
        ...

    def scan(self, query: ScanQuery) -> AsyncIterator[ScanPage]:
        """Read everything that is kept, page by page; for moving and inspecting a store, never for a user's request.

        Users come one after the other in the order of their owner keys, the memories of a user oldest first
        (``created_at``, then ``id``). A memory that stands untouched from the start of the scan to its end comes
        exactly once, also where the scan was broken off and taken up behind one of its pages, by another process too.
        Memory use does not grow with the number of memories.

        Raises:
            InvalidRequest: ``query.after`` is not a position that this kind of store gave out.
        """
        ...

    async def merge(self, records: Sequence[MemoryRecord], *, mode: MergeMode) -> Sequence[Merged]:
        """Bring in records just as they are: ids, times, access counts and supersession included.

        Each record stands for itself and is written whole or not at all; doing it again changes nothing more. A
        memory of the same id and owner is dealt with by ``mode``; replacing puts the whole record in its place. The
        generation of an owner rises with everything that is added or replaced.

        Args:
            records: Any owners, no id twice for one owner. Vectors as for ``create``.
            mode: What to do where the id exists.

        Returns:
            What became of each record.

        Raises:
            SchemaMismatch: A vector is of another dimension or model; nothing was written.
            MemoryConflict: An id occurs twice for one owner, or the store keeps ids apart over owners and this one is
                another owner's; nothing was written for that owner.
        """
        ...

    async def commit(self, change: Change) -> int | None:
        """Make a change if the owner's generation is still the one that it was planned at.

        Everything of it is made, or nothing; no reader sees a part of it. The way to decide on a write by what is
        kept already: read the generation, then read, plan, commit, and begin anew where another write came between.
        Where several routers share a server without transactions (Milvus), two commits that meet may both fail,
        and each may be seen for some 100 ms before it is taken back.

        Returns:
            The owner's generation with this change and no later one, or one that no longer stands; None where
            ``change.after`` no longer stood, and nothing was changed.

        Raises:
            SchemaMismatch: A vector is of another dimension or model; nothing was written.
            MemoryConflict: The store keeps ids apart over owners and an id of ``put`` is another owner's, or an id
                occurs twice; nothing was written.
        """
        ...

    @property
    def state(self) -> StateStore:
        """Return the small facts kept beside the memories; needs no I/O."""
        ...

    async def count(self, user_id: str | None) -> int:
        """Return how many memories are kept, superseded and expired ones too, for one user or for all."""
        ...

    async def check(self) -> None:
        """Prove on the real path that the store can serve.

        Raises:
            StoreUnavailable: It cannot; the message says why, without any memory.
        """
        ...

    async def aclose(self) -> None:
        """Finish what was begun and let go of the backend; calling it again does nothing."""
        ...


@runtime_checkable
class InstantStore(Protocol):
    """A store that can tell at once whether an answer still stands; beside ``MemoryStore``, where that is so."""

    def still_stands(self, scope: Scope, generation: int) -> bool | None:
        """Return whether this is the owner's generation, all writes that returned included; None where it cannot tell.

        It takes some 10 microseconds.
        """
        ...
