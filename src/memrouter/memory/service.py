"""The facade over memory for the plugin, the HTTP API and the command line."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Self

from memrouter.clock import Clock
from memrouter.config.memory import MemorySettings
from memrouter.embeddings.base import Embedder
from memrouter.errors import InvalidRequest
from memrouter.memory.corrections import Corrections, not_storable, over_limit
from memrouter.memory.hits import Recall
from memrouter.memory.lookup import check_id, find, not_found
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.retrieval.rerank import RerankStage
from memrouter.memory.retrieval.retrieve import Retriever
from memrouter.memory.storing.admission import Dropped
from memrouter.memory.storing.deposit import Outcome
from memrouter.memory.storing.drafts import MemoryDraft, MemoryEdit
from memrouter.memory.storing.erasure import Eraser, Receipt
from memrouter.memory.storing.observer import WriteObserver
from memrouter.memory.storing.write_gate import WriteGate
from memrouter.memory.switches import UserSwitches
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import ALL_TYPES, Cursor, Filter, ListQuery, Page, ScopeStats


class MemoryService:
    """Remembers, recalls, lists and forgets; ``corrections`` puts single memories right.

    Every method may raise ``StoreUnavailable``; those that take text may raise ``EmbeddingError``. A memory of
    another owner is treated as absent.

    Args:
        store: Keeps the memories; closed by whoever opened it.
        gate: What every new memory passes.
        corrections: Changes single memories.
        retriever: Finds memories for a text.
        clock: Tells the time.
        switches: Whether a user's memories are saved and recalled.
        reranking: Orders anew what was found; None leaves the order as it is.

    Attributes:
        gate: As given.
        corrections: As given.
        switches: As given.
    """

    def __init__(
        self,
        *,
        store: MemoryStore,
        gate: WriteGate,
        corrections: Corrections,
        retriever: Retriever,
        clock: Clock,
        switches: UserSwitches,
        reranking: RerankStage | None = None,
    ) -> None:
        self.gate = gate
        self.corrections = corrections
        self.switches = switches
        self._store = store
        self._retriever = retriever
        self._clock = clock
        self._reranking = reranking
        self._eraser = Eraser(store, edits=gate.edits, marks=gate.marks, clock=clock)

    @classmethod
    def configured(
        cls,
        settings: MemorySettings,
        *,
        store: MemoryStore,
        embedder: Embedder,
        retriever: Retriever,
        clock: Clock,
        rng: Random,
        observer: WriteObserver | None = None,
        reranking: RerankStage | None = None,
    ) -> Self:
        """Return the service of a store as configured.

        Args:
            settings: What to build.
            store: As for the class.
            embedder: Makes the vectors of the model that the store keeps.
            retriever: As for the class.
            clock: As for the class.
            rng: Makes ids, and spreads the tries of several routers.
            observer: Is told in figures of what is written; None for nobody.
            reranking: As for the class.
        """
        gate = WriteGate.configured(settings, store=store, embedder=embedder, clock=clock, rng=rng, observer=observer)
        return cls(
            store=store,
            gate=gate,
            corrections=Corrections(store=store, gate=gate, settings=settings, clock=clock),
            retriever=retriever,
            clock=clock,
            switches=UserSwitches(store.state, clock),
            reranking=reranking,
        )

    async def remember(
        self, scope: Scope, drafts: Sequence[MemoryDraft], *, unique: bool = True, actor: Actor = Actor.OWNER
    ) -> list[MemoryRecord]:
        """Store drafts, all or none, and return the memories that now hold their contents, in the order of the drafts.

        For arguments and errors see ``deposit``.
        """
        outcomes = await self.deposit(scope, drafts, unique=unique, actor=actor)
        return [outcome.record for outcome in outcomes if outcome.record is not None]

    async def deposit(
        self, scope: Scope, drafts: Sequence[MemoryDraft], *, unique: bool = True, actor: Actor = Actor.OWNER
    ) -> Sequence[Outcome]:
        """Store drafts, all or none, and return what became of each, in their order; none is dropped.

        For what somebody asked to be remembered; finished turns go to ``gate``, which tells of each draft what became
        of it. One that looks like an instruction to the model is quarantined: kept, but not found.

        Args:
            scope: The owner; without a project, the default one.
            drafts: What to remember.
            unique: Whether what the owner's project holds already is not stored again; the memory that holds it is
                refreshed and returned instead.
            actor: Who asks.

        Raises:
            InvalidRequest: A draft is out of range, or a text must not be kept; ``param`` names the field. Nothing was
                stored. Or there is no room, since all that is kept is pinned.
            Forbidden: Saving is switched off for this user.
        """
        if not drafts:
            return ()
        await self.switches.require_saving(scope.user_id)
        write = await self.gate.admit(scope, drafts, actor=actor, unique=unique)
        refused = next((place for place in write.places if isinstance(place, Dropped)), None)
        if refused is not None:
            raise not_storable(refused.reason)
        return _all_held(await self.gate.store(write))

    async def offer(
        self, scope: Scope, drafts: Sequence[MemoryDraft], *, actor: Actor = Actor.OWNER
    ) -> Sequence[Outcome]:
        """Store those of some drafts that may be kept, and return what became of each, in their order.

        As ``deposit``, but one that must not be kept, or for which there is no room, is dropped and the others are
        stored.

        Raises:
            InvalidRequest: A draft is out of range; ``param`` names the field. Or none was kept; the message says why
                the first one was not. Nothing was stored.
            Forbidden: Saving is switched off for this user.
        """
        await self.switches.require_saving(scope.user_id)
        outcomes = await self.gate.write(scope, drafts, actor=actor)
        if outcomes and all(outcome.record is None for outcome in outcomes):
            reason = outcomes[0].reason
            raise over_limit() if reason == "over_limit" else not_storable(reason)
        return outcomes

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

    def recall_at_once(
        self,
        scope: Scope,
        text: str,
        policy: RecallPolicy,
        *,
        known: Callable[[MemoryRecord], bool] | None = None,
    ) -> Recall | None:
        """Return what ``recall`` returns; None where that has to wait for something, or takes long."""
        return None if self._reranking is not None else self._retriever.at_once(scope, text, policy, known=known)

    def catch_up(self, user_id: str) -> None:
        """Make ready in a quiet moment what recall would else do first at the user's next question."""
        self._retriever.catch_up(user_id)

    async def get(self, scope: Scope, memory_id: str) -> MemoryRecord:
        """Return one memory, superseded, quarantined or not.

        Raises:
            NotFound: Absent, expired or someone else's.
        """
        return await find(self._store, scope, memory_id, now=self._clock.now_ms())

    async def edit(self, scope: Scope, memory_id: str, edit: MemoryEdit) -> MemoryRecord:
        """Change one memory; see ``Corrections.edit``."""
        return await self.corrections.edit(scope, memory_id, edit)

    async def forget(self, scope: Scope, memory_id: str, *, actor: Actor = Actor.OWNER) -> None:
        """Remove one memory, and what it replaced; see ``Eraser.forget``.

        Raises:
            NotFound: Absent or someone else's.
        """
        check_id(memory_id)
        if not await self._eraser.forget(scope, memory_id, actor=actor):
            raise not_found()

    async def forget_all(
        self, scope: Scope, types: frozenset[MemoryType] = ALL_TYPES, *, actor: Actor = Actor.OWNER
    ) -> int:
        """Remove all of the scope's memories of these types, superseded and expired ones too; return how many."""
        return await self._eraser.forget_all(scope, types, actor=actor)

    async def forget_conversation(self, scope: Scope, conversation_id: str, *, actor: Actor = Actor.OWNER) -> int:
        """Remove everything that came from a conversation and return how many memories that were."""
        return await self._eraser.forget_conversation(scope, conversation_id, actor=actor)

    async def erase_conversation(self, scope: Scope, conversation_id: str, *, actor: Actor = Actor.OWNER) -> Receipt:
        """Remove everything that came from a conversation and return a receipt for it."""
        return await self._eraser.erase_conversation(scope, conversation_id, actor=actor)

    async def erase(
        self, scope: Scope, types: frozenset[MemoryType] = ALL_TYPES, *, actor: Actor = Actor.OWNER
    ) -> Receipt:
        """Remove what ``forget_all`` removes and return a receipt for it."""
        return await self._eraser.erase(scope, types, actor=actor)

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
        sources: frozenset[Source] | None = None,
        limit: int = 20,
        cursor: str | None = None,
        conversation_id: str | None = None,
        include_superseded: bool = False,
        quarantined: bool = False,
    ) -> Page:
        """Return one page of the scope's memories, newest first.

        Args:
            scope: Whose memories.
            types: Kinds of memory to list.
            sources: How they came to be written; None for any.
            limit: Most memories on the page, at least 1.
            cursor: The encoded ``next`` of the page before; None for the first page.
            conversation_id: Only memories of this conversation; None for any.
            include_superseded: Whether memories that were replaced are listed too.
            quarantined: Whether the quarantined memories are listed instead of the others.

        Raises:
            InvalidRequest: ``limit`` is below 1, or the cursor is not one that was given out.
        """
        if limit < 1:
            raise InvalidRequest("limit must be at least 1", param="limit")
        query = ListQuery(
            limit=limit,
            now=self._clock.now_ms(),
            where=Filter(types=types, sources=sources, conversation_id=conversation_id),
            after=None if cursor is None else Cursor.decode(cursor),
            include_superseded=include_superseded,
            quarantined=quarantined,
        )
        return await self._store.list(scope, query)


def _all_held(outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """Return the outcomes where each has a memory that holds what was to be remembered.

    Raises:
        InvalidRequest: There was no room for one.
    """
    if any(outcome.record is None for outcome in outcomes):
        raise over_limit()
    return outcomes
