"""From a batch of turns to facts in the store: drawn by a model, weighed against what is kept, written by the gate."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final
from weakref import WeakValueDictionary

from memrouter.clock import Clock
from memrouter.errors import InvalidRequest, NotFound
from memrouter.memory.corrections import Corrections
from memrouter.memory.extraction.batches import TurnBatch
from memrouter.memory.extraction.extractor import FactExtractor
from memrouter.memory.extraction.facts import Fact
from memrouter.memory.extraction.observer import ExtractionObserver
from memrouter.memory.extraction.source_turns import is_source
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.memory.storing.trust import above
from memrouter.memory.storing.write_gate import WriteGate
from memrouter.models.history import Actor, Event
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source, Trust
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import Filter, StoreQuery

MAX_KNOWN: Final = 12
"""Most remembered facts that the model is shown with a batch."""
NEAREST: Final = 4
"""How many remembered facts are looked up for each turn."""

_FACTS: Final = Filter(types=frozenset({MemoryType.SEMANTIC, MemoryType.PROCEDURAL}))
_SAID_AGAIN: Final = frozenset({Event.REFRESHED, Event.EDITED})


class FactKeeper:
    """Draws facts from turns and stores them.

    Nothing comes of turns that were deleted, replaced or quarantined before the facts are stored.

    Args:
        store: Keeps turns and facts.
        gate: What every new memory passes.
        corrections: Puts a new fact in the place of one that is no longer true.
        extractor: Asks the model.
        observer: Is told what became of the facts.
        clock: Tells the time.
    """

    def __init__(
        self,
        *,
        store: MemoryStore,
        gate: WriteGate,
        corrections: Corrections,
        extractor: FactExtractor,
        observer: ExtractionObserver,
        clock: Clock,
    ) -> None:
        self._store = store
        self._gate = gate
        self._corrections = corrections
        self._extractor = extractor
        self._observer = observer
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def keep(self, batch: TurnBatch) -> None:
        """Store what a model finds in a batch. Tried again after an error, it does not ask the model again.

        Raises:
            StoreUnavailable: The store failed; some facts may have been stored.
            EmbeddingError: The embedder failed; some facts may have been stored.
        """
        lock = self._locks.setdefault(batch.scope.user_id, asyncio.Lock())
        async with lock:
            if batch.facts is None:
                batch.facts = await self._drawn(batch)
            if batch.facts:
                await self._write(batch.scope, batch.facts)

    async def _drawn(self, batch: TurnBatch) -> tuple[Fact, ...]:
        turns = await self._living(batch.scope, batch.ids)
        if not turns:
            self._observer.extraction(outcome="gone", seconds=0)
            return ()
        found = await self._extractor.extract(turns, await self._known(batch.scope, turns))
        if found is None:
            return ()
        self._count(found.dropped)
        return found.kept

    async def _living(self, scope: Scope, ids: Iterable[str]) -> list[MemoryRecord]:
        """Return the turns of these ids from which facts may be drawn now, in the order of the conversation."""
        now = self._clock.now_ms()
        records = await self._store.get(scope, list(dict.fromkeys(ids)), now=now)
        turns = [record for record in records if is_source(record) and record.visible(now)]
        return sorted(turns, key=lambda turn: (turn.turn_index or 0, turn.created_at, turn.id))

    async def _known(self, scope: Scope, turns: Sequence[MemoryRecord]) -> list[MemoryRecord]:
        """Return the remembered facts that are nearest to the turns, the nearest first."""
        best: dict[str, tuple[float, MemoryRecord]] = {}
        now = self._clock.now_ms()
        for turn in turns:
            query = StoreQuery(vector=turn.embedding, k=NEAREST, now=now, where=_FACTS)
            answer = await self._store.search(scope, query)
            for record, score in zip(answer.records or (), answer.scores or (), strict=True):
                best[record.id] = max(best.get(record.id, (-1.0, record)), (score, record), key=lambda pair: pair[0])
        ranked = sorted(best.values(), key=lambda pair: (-pair[0], pair[1].id))
        return [record for _, record in ranked[:MAX_KNOWN]]

    async def _write(self, scope: Scope, facts: Sequence[Fact]) -> None:
        named = (source.id for fact in facts for source in fact.sources)
        living = {turn.id: turn for turn in await self._living(scope, named)}
        outcomes: Counter[str] = Counter()
        plain: list[MemoryDraft] = []
        begun_at = min((turn.created_at for turn in living.values()), default=0)
        for fact in facts:
            there = ((source, living.get(source.id)) for source in fact.sources)
            # One that was put right since no longer says it.
            sources = [now for source, now in there if now is not None and now.content == source.content]
            if not sources:
                outcomes["source_gone"] += 1
                continue
            draft = _draft(fact, sources)
            verdict = "" if fact.replaces is None else await self._replaced(scope, fact, draft, begun_at)
            if verdict:
                outcomes[verdict] += 1
            else:
                plain.append(draft)
        written = await self._gate.write(scope, plain, actor=Actor.EXTRACTION, begun_at=begun_at)
        outcomes.update(outcome.reason or "" if outcome.record is None else outcome.fate.value for outcome in written)
        self._count(outcomes)

    async def _replaced(self, scope: Scope, fact: Fact, draft: MemoryDraft, begun_at: int) -> str:
        """Put a fact in the place of the one that it makes untrue; return what became of it, empty to just add it."""
        now = self._clock.now_ms()
        found = await self._store.get(scope, [fact.replaces.id], now=now) if fact.replaces is not None else []
        old = next((record for record in found if record.visible(now) and not record.pinned), None)
        if old is None:
            return ""
        if above(old.trust, fact.trust):
            return "believed_less"
        if _last_said(old) > fact.said_at:
            return "outdated"
        try:
            await self._corrections.supersede(scope, old.id, draft, actor=Actor.EXTRACTION, begun_at=begun_at)
        except (InvalidRequest, NotFound):
            return ""  # replaced or deleted meanwhile, or of a text that must not be kept: the gate has the last word
        return "replaced"

    def _count(self, outcomes: Counter[str]) -> None:
        for outcome, count in outcomes.items():
            self._observer.facts(outcome=outcome, count=count)


def _draft(fact: Fact, sources: Sequence[MemoryRecord]) -> MemoryDraft:
    last = sources[-1]
    return MemoryDraft(
        content=fact.text,
        type=fact.type,
        source=Source.EXTRACTION,
        trust=fact.trust,
        importance=fact.importance,
        conversation_id=last.conversation_id,
        turn_index=last.turn_index,
        role="user" if fact.trust is Trust.DIRECT_USER else "assistant",
        created_at=fact.said_at,
        links=tuple(source.id for source in sources),
    )


def _last_said(record: MemoryRecord) -> int:
    """Return when a fact was last said to be so, in milliseconds since the epoch."""
    again = (entry.at for entry in record.history if entry.event in _SAID_AGAIN)
    return max(record.created_at, *again, 0)
