"""The facade over memory for the plugin, the HTTP API and the command line."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from memrouter.clock import Clock
from memrouter.embeddings.base import Embedder
from memrouter.errors import InvalidRequest, NotFound
from memrouter.memory.hits import Recall
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.retrieval.rerank import RerankStage
from memrouter.memory.retrieval.retrieve import Retriever
from memrouter.memory.storing.drafts import MemoryDraft, MemoryEdit, check_content, check_draft, check_edit
from memrouter.memory.storing.erasure import Receipt, erase
from memrouter.memory.storing.ids import IdFactory
from memrouter.models.memory import (
    DEFAULT_PROJECT,
    MAX_ID_CHARS,
    MemoryRecord,
    MemoryType,
    Scope,
    Vector,
    check_identity,
)
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import ALL_TYPES, Cursor, Filter, ListQuery, Page, Patch, ScopeStats


class MemoryService:
    """Remembers, recalls, lists, edits and forgets.

    Every method may raise ``StoreUnavailable``; those that take text may raise ``EmbeddingError``. A memory of
    another owner is treated as absent.

    Args:
        store: Keeps the memories; closed by whoever opened it.
        embedder: Makes the vectors of the model that the store keeps.
        retriever: Finds memories for a text.
        clock: Tells the time.
        ids: Names new memories.
        reranking: Orders anew what was found; None leaves the order as it is.
    """

    def __init__(
        self,
        *,
        store: MemoryStore,
        embedder: Embedder,
        retriever: Retriever,
        clock: Clock,
        ids: IdFactory,
        reranking: RerankStage | None = None,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._retriever = retriever
        self._clock = clock
        self._ids = ids
        self._reranking = reranking

    async def remember(self, scope: Scope, drafts: Sequence[MemoryDraft], *, unique: bool = True) -> list[MemoryRecord]:
        """Store drafts, all or none, and return the memories that now hold their contents, in the order of the drafts.

        Args:
            scope: The owner; without a project, the default one.
            drafts: What to remember.
            unique: Whether a content that the owner's project holds already is not stored again; the memory that
                holds it is returned instead. One that is forgotten at this very moment is left out.

        Raises:
            InvalidRequest: A draft is out of range; ``param`` names the field. Nothing was stored.
        """
        if not drafts:
            return []
        now = self._clock.now_ms()
        records = await self._records(scope, drafts, now)
        ids = await self._store.create(records, unique_content=unique)
        known = {record.id: record for record in records}
        earlier = [memory_id for memory_id in dict.fromkeys(ids) if memory_id not in known]
        if earlier:
            known |= {record.id: record for record in await self._store.get(scope, earlier, now=now)}
        return [known[memory_id] for memory_id in ids if memory_id in known]

    async def recall(
        self,
        scope: Scope,
        text: str,
        policy: RecallPolicy,
        *,
        known: Callable[[MemoryRecord], bool] | None = None,
        explain: bool = False,
    ) -> Recall:
        """Return the scope's memories that are relevant to ``text``, re-ranked; see ``Retriever.recall``."""
        stage = self._reranking
        if stage is None:
            return await self._retriever.recall(scope, text, policy, known=known, explain=explain)
        found = await self._retriever.recall(scope, text, stage.widened(policy), known=known, explain=explain)
        return await stage.order(text, found, limit=policy.limit)

    async def get(self, scope: Scope, memory_id: str) -> MemoryRecord:
        """Return one memory, superseded or not.

        Raises:
            NotFound: Absent, expired or someone else's.
        """
        _check_id(memory_id)
        found = await self._store.get(scope, [memory_id], now=self._clock.now_ms())
        if not found:
            raise _not_found()
        return found[0]

    async def edit(self, scope: Scope, memory_id: str, edit: MemoryEdit) -> MemoryRecord:
        """Change one memory and return it as it now is; changed content gets a new vector.

        Raises:
            NotFound: Absent, expired or someone else's.
            InvalidRequest: Nothing to change, or a field out of range; ``param`` names it.
        """
        _check_id(memory_id)
        now = self._clock.now_ms()
        check_edit(edit, now=now)
        patch = Patch(updated_at=now, type=edit.type, importance=edit.importance, expires_at=edit.expires_at)
        if edit.content is not None:
            content = check_content(edit.content)
            (vector,) = await self._embed([content])
            model = self._embedder.info.model
            patch = replace(patch, content=content, embedding=vector, embedding_model=model)
        changed = await self._store.update(scope, memory_id, patch)
        if changed is None:
            raise _not_found()
        return changed

    async def forget(self, scope: Scope, memory_id: str) -> None:
        """Remove one memory.

        Raises:
            NotFound: Absent or someone else's.
        """
        _check_id(memory_id)
        if not await self._store.delete(scope, Filter(ids=frozenset({memory_id}))):
            raise _not_found()

    async def forget_all(self, scope: Scope, types: frozenset[MemoryType] = ALL_TYPES) -> int:
        """Remove all of the scope's memories of these types, superseded and expired ones too; return how many."""
        return await self._store.delete(scope, Filter(types=types))

    async def erase(self, scope: Scope, types: frozenset[MemoryType] = ALL_TYPES) -> Receipt:
        """Remove what ``forget_all`` removes and return a receipt for it."""
        return await erase(self._store, scope, types, now=self._clock.now_ms())

    async def stats(self, scope: Scope) -> ScopeStats:
        """Return figures about the scope's visible memories."""
        return await self._store.stats(scope, now=self._clock.now_ms())

    async def count_access(self, scope: Scope, ids: Sequence[str]) -> int:
        """Count one access for each living memory among ``ids``; return how many were counted."""
        return await self._store.touch(scope, ids, now=self._clock.now_ms()) if ids else 0

    async def list(
        self,
        scope: Scope,
        *,
        types: frozenset[MemoryType] = ALL_TYPES,
        limit: int = 20,
        cursor: str | None = None,
        include_superseded: bool = False,
    ) -> Page:
        """Return one page of the scope's memories, newest first.

        Args:
            scope: Whose memories.
            types: Kinds of memory to list.
            limit: Most memories on the page, at least 1.
            cursor: The encoded ``next`` of the page before; None for the first page.
            include_superseded: Whether memories that were replaced are listed too.

        Raises:
            InvalidRequest: ``limit`` is below 1, or the cursor is not one that was given out.
        """
        if limit < 1:
            raise InvalidRequest("limit must be at least 1", param="limit")
        query = ListQuery(
            limit=limit,
            now=self._clock.now_ms(),
            where=Filter(types=types),
            after=None if cursor is None else Cursor.decode(cursor),
            include_superseded=include_superseded,
        )
        return await self._store.list(scope, query)

    async def _records(self, scope: Scope, drafts: Sequence[MemoryDraft], now: int) -> Sequence[MemoryRecord]:
        for draft in drafts:
            check_draft(draft, now=now)
        contents = [check_content(draft.content) for draft in drafts]
        vectors = await self._embed(contents)
        return [
            self._record(scope, draft, content, vector, now)
            for draft, content, vector in zip(drafts, contents, vectors, strict=True)
        ]

    def _record(self, scope: Scope, draft: MemoryDraft, content: str, vector: Vector, now: int) -> MemoryRecord:
        return MemoryRecord(
            id=self._ids.new(),
            user_id=scope.user_id,
            project_id=scope.project_id or DEFAULT_PROJECT,
            content=content,
            embedding=vector,
            embedding_model=self._embedder.info.model,
            created_at=now if draft.created_at is None else draft.created_at,
            updated_at=now,
            type=draft.type,
            source=draft.source,
            trust=draft.trust,
            importance=draft.importance,
            expires_at=draft.expires_at,
            conversation_id=draft.conversation_id,
            turn_index=draft.turn_index,
            role=draft.role,
        )

    async def _embed(self, contents: Sequence[str]) -> Sequence[Vector]:
        # Rows are copied, so that one kept vector does not hold the whole batch in memory.
        return [row.copy() for row in await self._embedder.embed(contents)]


def _check_id(memory_id: str) -> None:
    """Make sure that a memory can have this id, which an import may have brought from elsewhere."""
    try:
        check_identity(memory_id, param="id")
    except InvalidRequest:
        raise _not_found() from None
    if len(memory_id) > MAX_ID_CHARS:
        raise _not_found()


def _not_found() -> NotFound:
    return NotFound("no memory has this id", param="id")
