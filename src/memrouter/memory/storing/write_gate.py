"""The one way by which new memories come into a store: admitted, de-duplicated, within the cap, told to the audit log.

A conversation, the API, an extraction and a correction all write through it. Memories that are moved from store to
store, and imports, have a gate of their own (``memrouter.transfer.gate``), which screens with the same rules.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Self

from memrouter.clock import Clock
from memrouter.config.memory import MemorySettings
from memrouter.embeddings.base import Embedder
from memrouter.memory.screening.screen import Screen
from memrouter.memory.storing.admission import Admission
from memrouter.memory.storing.audit import audit
from memrouter.memory.storing.capacity import Capacity
from memrouter.memory.storing.deposit import Fate, Outcome
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.memory.storing.edits import OwnerEdits
from memrouter.memory.storing.ids import IdFactory
from memrouter.memory.storing.marks import ErasureMarks
from memrouter.memory.storing.observer import Unobserved, WriteObserver
from memrouter.memory.storing.write_plan import Write, WritePlanner, Written
from memrouter.models.history import Actor
from memrouter.models.memory import DEFAULT_PROJECT, Scope
from memrouter.stores.base import MemoryStore


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What is to be written for one owner.

    Attributes:
        scope: Whose; without a project, the default one.
        drafts: What to remember.
        begun_at: See ``Write``.
    """

    scope: Scope
    drafts: Sequence[MemoryDraft]
    begun_at: int | None = None


class WriteGate:
    """Admits and stores.

    Args:
        store: Keeps the memories.
        admission: Makes memories of drafts.
        edits: Makes changes by what is kept.
        settings: De-duplication and the cap.
        clock: Tells the time.
        observer: Is told in figures what became of drafts.

    Attributes:
        admission: As given.
        edits: As given.
        capacity: The cap.
        marks: What was deleted of late.
    """

    def __init__(
        self,
        *,
        store: MemoryStore,
        admission: Admission,
        edits: OwnerEdits,
        settings: MemorySettings,
        clock: Clock,
        observer: WriteObserver,
    ) -> None:
        self.admission = admission
        self.edits = edits
        self.capacity = Capacity(store, settings.quality_scoring)
        self.marks = ErasureMarks(store.state)
        self._planner = WritePlanner(
            store=store,
            outlines=edits.outlines,
            capacity=self.capacity,
            marks=self.marks,
            settings=settings.deduplication,
            clock=clock,
        )
        self._clock = clock
        self._observer = observer

    @classmethod
    def configured(
        cls,
        settings: MemorySettings,
        *,
        store: MemoryStore,
        embedder: Embedder,
        clock: Clock,
        rng: Random,
        observer: WriteObserver | None = None,
    ) -> Self:
        """Return the gate of a store as configured.

        Args:
            settings: What to build.
            store: Keeps the memories; closed by whoever opened it.
            embedder: Makes the vectors of the model that the store keeps.
            clock: Tells the time.
            rng: Makes ids, and spreads the tries of several routers.
            observer: Is told in figures what became of drafts; None for nobody.
        """
        admission = Admission(
            screen=Screen(settings.redaction, settings.quarantine),
            embedder=embedder,
            ids=IdFactory(clock, rng),
            retention=settings.retention,
        )
        return cls(
            store=store,
            admission=admission,
            edits=OwnerEdits(store, rng=rng),
            settings=settings,
            clock=clock,
            observer=observer or Unobserved(),
        )

    async def write(
        self,
        scope: Scope,
        drafts: Sequence[MemoryDraft],
        *,
        actor: Actor,
        begun_at: int | None = None,
        unique: bool = True,
    ) -> Sequence[Outcome]:
        """Admit drafts and store them, all in one step; return what became of each, in their order.

        Args:
            scope: Whose; without a project, the default one.
            drafts: What to remember.
            actor: Who writes.
            begun_at: See ``Write``.
            unique: See ``Write``.

        Raises:
            InvalidRequest: A draft is out of range; ``param`` names the field. Nothing was stored.
            EmbeddingError: The embedder failed; nothing was stored.
            StoreUnavailable: The store failed; it may have been stored.
        """
        return await self.store(await self.admit(scope, drafts, actor=actor, begun_at=begun_at, unique=unique))

    async def admit(
        self,
        scope: Scope,
        drafts: Sequence[MemoryDraft],
        *,
        actor: Actor,
        begun_at: int | None = None,
        unique: bool = True,
    ) -> Write:
        """Return what ``store`` takes; stores nothing. For arguments and errors see ``write``."""
        (write,) = await self.admit_all([Asked(scope, drafts, begun_at)], actor=actor, unique=unique)
        return write

    async def admit_all(self, asked: Sequence[Asked], *, actor: Actor, unique: bool = True) -> list[Write]:
        """Do as ``admit`` for several writes, with one call of the embedder; raises for all of them."""
        wanted = [
            (one if one.scope.project_id else replace(one, scope=Scope(one.scope.user_id, DEFAULT_PROJECT)))
            for one in asked
        ]
        now = self._clock.now_ms()
        admitted = await self.admission.admit_all([(one.scope, one.drafts) for one in wanted], actor=actor, now=now)
        for answer in admitted:
            for kind, count in answer.redacted.items():
                self._observer.redacted(kind=kind, count=count)
        return [
            Write(one.scope, answer.places, [draft.source for draft in one.drafts], actor, one.begun_at, unique)
            for one, answer in zip(wanted, admitted, strict=True)
        ]

    async def store(self, write: Write) -> Sequence[Outcome]:
        """Store what was admitted; may be called again after it failed, and then stores nothing twice."""
        if not write.places:
            return ()
        again, write.tried = write.tried, True
        written = await self.edits.apply_at(write.scope.user_id, partial(self._planner.plan, write, again))
        self._planner.note(write)
        self._tell(write, written)
        return written.outcomes

    async def trim(self, user_id: str) -> int:
        """Remove what a user has over the cap, as after an import; return how many memories were removed."""
        now = self._clock.now_ms()
        return await self.capacity.trim(user_id, edits=self.edits, observer=self._observer, now=now)

    def _tell(self, write: Write, written: Written) -> None:
        groups: defaultdict[tuple[str, str | None, str | None], list[str]] = defaultdict(list)
        for source, outcome in zip(write.sources, written.outcomes, strict=True):
            self._observer.written(source=source, outcome=outcome.fate)
            if outcome.fate is Fate.DROPPED:
                self._observer.write_dropped(outcome.reason or "")
            record = outcome.record
            conversation = None if record is None else record.conversation_id
            groups[outcome.fate, outcome.reason, conversation].append("" if record is None else record.id)
        for (event, rule, conversation), ids in groups.items():
            known = [memory_id for memory_id in ids if memory_id]
            user_id, count = write.scope.user_id, len(ids)
            audit(event, user_id, known, actor=write.actor, rule=rule, conversation_id=conversation, count=count)
        if written.evicted:
            self._observer.evicted(len(written.evicted))
            audit("evicted", write.scope.user_id, written.evicted, actor=Actor.ROUTER, rule="max_memories_per_user")
