"""What every text passes before the store is asked: cleaned, classified, screened, embedded."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from memrouter.config.keeping import RetentionSettings
from memrouter.embeddings.base import Embedder
from memrouter.memory.injection.blocks import strip_blocks
from memrouter.memory.screening.screen import Rejected, Screen, Screened
from memrouter.memory.storing.drafts import MAX_TIME_MS, MemoryDraft, check_content, check_draft, storable_text
from memrouter.memory.storing.ids import IdFactory
from memrouter.memory.storing.trust import classify
from memrouter.models.chat import SYSTEM_ROLES
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import DEFAULT_PROJECT, MemoryRecord, Scope, Source, Trust, Vector, cut_to_bytes

DAY_MS: Final = 86_400_000
INLINE_CHARS: Final = 8_000
"""Texts up to this size together are screened in the event loop."""
PASSED_AT_ONCE: Final = 16
"""Of several writes, so many are screened before requests have their turn: some 4 ms where they are short."""

ANSWER: Final = "answer"
"""Kind, among what is taken out of texts, of an answer that would have put its turn into quarantine."""

_MASK_RULE: Final = "redacted:"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A text must not be kept.

    Attributes:
        reason: One of a fixed list of words, such as ``system_prompt``.
    """

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Admitted:
    """What became of some drafts.

    Attributes:
        places: For each draft, the memory that it is to become, or why it must not be kept.
        redacted: How many pieces of each kind were taken out.
    """

    places: Sequence[MemoryRecord | Dropped]
    redacted: Mapping[str, int]


@dataclass(slots=True, eq=False)
class _Passed:
    """Drafts on their way: those that passed so far, by their place."""

    screened: dict[int, tuple[Screened, Trust]] = field(default_factory=dict)
    dropped: dict[int, Dropped] = field(default_factory=dict)
    redacted: Counter[str] = field(default_factory=Counter)


class Admission:
    """Makes memories of drafts; nothing is stored.

    Args:
        screen: Takes out secrets, and says what must be kept apart or not at all.
        embedder: Makes the vectors of the model that the store keeps.
        ids: Names new memories.
        retention: How long memories of each type live.

    Attributes:
        screen: As given.
    """

    def __init__(self, *, screen: Screen, embedder: Embedder, ids: IdFactory, retention: RetentionSettings) -> None:
        self.screen = screen
        self._embedder = embedder
        self._ids = ids
        days = (retention.semantic_days, retention.procedural_days, retention.episodic_days)
        self._days = dict(zip(("semantic", "procedural", "episodic"), days, strict=True))

    async def admit(self, scope: Scope, drafts: Sequence[MemoryDraft], *, actor: Actor, now: int) -> Admitted:
        """Return what the drafts become, in their order; each text is embedded once.

        Raises:
            InvalidRequest: A draft is out of range; ``param`` names the field.
            EmbeddingError: The embedder failed.
        """
        (admitted,) = await self.admit_all([(scope, drafts)], actor=actor, now=now)
        return admitted

    async def admit_all(
        self, asked: Sequence[tuple[Scope, Sequence[MemoryDraft]]], *, actor: Actor, now: int
    ) -> list[Admitted]:
        """Do as ``admit`` for drafts of several owners, with one call of the embedder; raises for all of them."""
        passed: list[_Passed] = []
        for _, drafts in asked:
            if passed and len(passed) % PASSED_AT_ONCE == 0:
                await asyncio.sleep(0)  # screening is work, and requests must not wait for all of it
            passed.append(await self._passed(drafts, now=now))
        texts = [cut_to_bytes(screened.content) for one in passed for screened, _ in one.screened.values()]
        vectors = iter(await self.embed(texts))
        return [
            self._admitted(scope, drafts, one, vectors, actor=actor, now=now)
            for (scope, drafts), one in zip(asked, passed, strict=True)
        ]

    async def embed(self, contents: Sequence[str]) -> Sequence[Vector]:
        """Return a vector for each content."""
        if not contents:
            return ()
        # Rows are copied, so that one kept vector does not hold the whole batch in memory.
        return [row.copy() for row in await self._embedder.embed(contents)]

    @property
    def embedding_model(self) -> str:
        """Return the model of the vectors."""
        return self._embedder.info.model

    async def _passed(self, drafts: Sequence[MemoryDraft], *, now: int) -> _Passed:
        for draft in drafts:
            check_draft(draft, now=now)
        contents = [clean(draft) for draft in drafts]
        if sum(map(len, contents)) <= INLINE_CHARS:
            return self._pass(drafts, contents)
        return await asyncio.to_thread(self._pass, drafts, contents)

    def _admitted(
        self,
        scope: Scope,
        drafts: Sequence[MemoryDraft],
        passed: _Passed,
        vectors: Iterator[Vector],
        *,
        actor: Actor,
        now: int,
    ) -> Admitted:
        """Return what drafts become that have passed; takes as many vectors as there are."""
        places: list[MemoryRecord | Dropped] = [passed.dropped.get(place, Dropped("")) for place in range(len(drafts))]
        for place, (screened, trust) in passed.screened.items():
            places[place] = self._record(scope, drafts[place], screened, trust, next(vectors), actor=actor, now=now)
        return Admitted(places, passed.redacted)

    def _pass(self, drafts: Sequence[MemoryDraft], contents: Sequence[str]) -> _Passed:
        passed = _Passed()
        for place, (draft, content) in enumerate(zip(drafts, contents, strict=True)):
            trust = classify(draft)
            answer = self._passes(draft, content, trust)
            if isinstance(answer, Dropped):
                passed.dropped[place] = answer
            else:
                passed.screened[place] = (answer, trust)
                if answer.redacted:
                    passed.redacted.update(answer.redacted)
        return passed

    def _passes(self, draft: MemoryDraft, content: str, trust: Trust) -> Screened | Dropped:
        if not content:
            return Dropped("injected_block")
        if draft.role in SYSTEM_ROLES:
            return Dropped("system_prompt")
        explicit = draft.source is Source.API
        answer = self.screen.screen(
            content, trust=trust, role=draft.role, explicit=explicit, own_words=draft.own_words or None
        )
        if isinstance(answer, Rejected):
            return Dropped(answer.reason)
        return answer if answer.quarantine is None else self._without_answer(draft, trust) or answer

    def _without_answer(self, draft: MemoryDraft, trust: Trust) -> Screened | None:
        """Return the user's part of a turn if it may be recalled: what a model answers must not cost what was said."""
        own = cut_to_bytes(storable_text(draft.own_words or "")).strip()
        if not own:
            return None
        screened = self.screen.screen(own, trust=trust, role=draft.role, explicit=False)
        if isinstance(screened, Rejected) or screened.quarantine is not None:
            return None
        return replace(screened, redacted={**screened.redacted, ANSWER: 1})

    def _record(
        self,
        scope: Scope,
        draft: MemoryDraft,
        screened: Screened,
        trust: Trust,
        vector: Vector,
        *,
        actor: Actor,
        now: int,
    ) -> MemoryRecord:
        return MemoryRecord(
            id=self._ids.new(),
            user_id=scope.user_id,
            project_id=scope.project_id or DEFAULT_PROJECT,
            content=cut_to_bytes(screened.content),
            embedding=vector,
            embedding_model=self.embedding_model,
            created_at=now if draft.created_at is None else draft.created_at,
            updated_at=now,
            type=draft.type,
            source=draft.source,
            trust=trust,
            importance=draft.importance,
            expires_at=self._expiry(draft, now),
            conversation_id=draft.conversation_id,
            turn_index=draft.turn_index,
            role=draft.role,
            quarantine=screened.quarantine,
            links=draft.links,
            history=screening_entries(screened, actor=actor, now=now),
        )

    def _expiry(self, draft: MemoryDraft, now: int) -> int | None:
        days = self._days[draft.type]
        if draft.expires_at is not None or days is None:
            return draft.expires_at
        return min(MAX_TIME_MS, now + int(days * DAY_MS))


def clean(draft: MemoryDraft) -> str:
    """Return a draft's content without recalled memories; empty if it was nothing else.

    What somebody asked for in so many words must be storable as it is; of anything else the rest is stored.

    Raises:
        InvalidRequest: The owner's own content is empty, too long or holds control characters.
    """
    if draft.source is Source.API:
        return strip_blocks(check_content(draft.content))
    return cut_to_bytes(storable_text(strip_blocks(draft.content))).strip()


def screening_entries(screened: Screened, *, actor: Actor, now: int) -> tuple[HistoryEntry, ...]:
    """Return what is noted of a screening: nothing where nothing was found."""
    entries = []
    if screened.redacted:
        kinds = ",".join(f"{kind}={count}" for kind, count in sorted(screened.redacted.items()))
        entries.append(HistoryEntry(now, Event.CREATED, actor, f"{_MASK_RULE}{kinds}"[:200]))
    if screened.quarantine is not None:
        entries.append(HistoryEntry(now, Event.QUARANTINED, actor, screened.quarantine))
    return tuple(entries)
