"""What the tools do, over the memory service; nothing of the protocol."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel

from memrouter.clock import Clock
from memrouter.config.memory import MemoryPluginSettings, MemorySettings
from memrouter.errors import Forbidden, InvalidRequest
from memrouter.mcp.forms import Forget, History, Kind, Listing, Recall, Remember, Update
from memrouter.mcp.text import describe_events, describe_page, render
from memrouter.mcp.views import (
    EventView,
    Forgotten,
    FoundMemory,
    Listed,
    MemoryView,
    Recalled,
    Remembered,
    Story,
    Updated,
)
from memrouter.memory.policy import RecallPolicy, resolve_policy
from memrouter.memory.reflection.block_patterns import BlockPatterns
from memrouter.memory.reflection.reflect import ReflectionFilter
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source, Trust
from memrouter.stores.query import ALL_TYPES


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool gives back.

    Attributes:
        text: For the model; memories stand in it as escaped data.
        view: For programs.
    """

    text: str
    view: BaseModel


class MemoryTools:
    """The tools' functions. What they store counts as a model's words, whoever the model says them for.

    Args:
        service: Remembers and finds.
        settings: Defaults of a search.
        default_threshold: The embedder's own threshold.
        reflection: The filter that memories pass on their way into a prompt.
        clock: Tells the time.
    """

    def __init__(
        self,
        service: MemoryService,
        *,
        settings: MemorySettings,
        default_threshold: float,
        reflection: ReflectionFilter,
        clock: Clock,
    ) -> None:
        self._service = service
        self._settings = settings
        self._default_threshold = default_threshold
        self._reflection = reflection
        self._clock = clock
        filtering = reflection.settings
        self._patterns = BlockPatterns(filtering.block_patterns if filtering.enabled else ())

    async def remember(self, scope: Scope, form: Remember) -> Answer:
        """Store a fact."""
        expires_at = None if form.expires_at is None else int(form.expires_at.timestamp() * 1000)
        draft = MemoryDraft(
            content=form.content,
            type=MemoryType(form.type),
            source=Source.API,
            trust=Trust.MODEL,
            importance=form.importance,
            expires_at=expires_at,
        )
        (outcome,) = await self._service.deposit(scope, [draft])
        record = outcome.record
        if record is None:
            raise InvalidRequest("there is no room for another memory", code="over_limit")
        told = {
            "stored": f"Remembered, id {record.id}.",
            "known": f"This was remembered already, id {record.id}; nothing was added.",
            "quarantined": f"Kept apart, id {record.id}: it looks like an instruction to a model "
            f"({record.quarantine}), so it is not recalled until its owner has looked at it.",
        }
        return Answer(
            told[outcome.fate],
            Remembered.model_validate({"outcome": outcome.fate.value, "memory": MemoryView.of(record)}),
        )

    async def recall(self, scope: Scope, form: Recall) -> Answer:
        """Find what bears on a question, as for a chat request; counts as an access."""
        await self.require_recall(scope)
        now = self._clock.now_ms()
        found = await self._service.recall(scope, form.query, self._policy(form))
        kept = (await self._reflection.select(found.hits, now=now)).kept
        await self._service.count_access(scope, [hit.record.id for hit in kept])
        nothing = "Nothing that is remembered bears on this."
        text = render([hit.record for hit in kept], now=now) if kept else nothing
        return Answer(text, Recalled(found=[FoundMemory.of(hit) for hit in kept]))

    async def list_page(self, scope: Scope, form: Listing) -> Answer:
        """Return memories, newest first."""
        await self.require_recall(scope)
        limit = min(form.limit, self._settings.limits.list_page)
        page = await self._service.list(scope, types=_types(form.types), limit=limit, cursor=form.cursor)
        records = await self._unblocked(page.records)
        view = Listed(
            memories=[MemoryView.of(record) for record in records],
            total=page.total,
            next_cursor=page.next.encode() if page.next else None,
        )
        block = render(records, now=self._clock.now_ms()) if records else ""
        return Answer(describe_page(block, total=page.total, next_cursor=view.next_cursor), view)

    async def update(self, scope: Scope, form: Update) -> Answer:
        """Put a new fact in the place of a memory."""
        old = await self.readable(scope, form.id)
        draft = MemoryDraft(
            content=form.content,
            type=old.type,
            source=Source.API,
            trust=Trust.MODEL,
            importance=old.importance,
            expires_at=old.expires_at,
        )
        new = await self._service.corrections.supersede(scope, form.id, draft)
        told = f"Updated: the memory with id {new.id} stands in its place."
        return Answer(told, Updated(replaced=form.id, memory=MemoryView.of(new)))

    async def forget(self, scope: Scope, form: Forget) -> Answer:
        """Remove a memory for good."""
        await self._service.forget(scope, form.id)
        return Answer("Forgotten for good.", Forgotten(forgotten=form.id))

    async def history(self, scope: Scope, form: History) -> Answer:
        """Return what happened to a memory, and its versions."""
        await self.require_recall(scope)
        record = await self.readable(scope, form.id)
        entries = await self._service.corrections.history(scope, form.id)
        chain = await self._service.corrections.chain(scope, form.id)
        versions = await self._unblocked([each for each in chain if each.quarantine is None])
        view = Story(
            memory=MemoryView.of(record),
            events=[EventView.of(entry) for entry in entries],
            versions=[MemoryView.of(version) for version in versions],
        )
        return Answer(f"{render(versions, now=self._clock.now_ms())}\n{describe_events(entries)}", view)

    async def readable(self, scope: Scope, memory_id: str) -> MemoryRecord:
        """Return a memory that a model may see, superseded or not.

        Raises:
            NotFound: Absent, expired or someone else's.
            Forbidden: It is kept apart, or a pattern of the configuration blocks it.
        """
        record = await self._service.get(scope, memory_id)
        if record.quarantine is not None:
            raise Forbidden(
                f"this memory is kept apart ({record.quarantine}); its owner can look at it and release it over the "
                "HTTP API",
                code="quarantined",
            )
        if not await self._unblocked([record]):
            raise Forbidden("this memory is not for models: a pattern of the configuration blocks it", code="blocked")
        return record

    async def require_recall(self, scope: Scope) -> None:
        """Refuse to go on where a user's memories are not to be put into prompts.

        Raises:
            Forbidden: They are not.
        """
        if not (await self._service.switches.of(scope.user_id)).recall:
            raise Forbidden("recall is switched off for this user; ask whoever runs the router", code="recall_off")

    async def _unblocked(self, records: Sequence[MemoryRecord]) -> Sequence[MemoryRecord]:
        """Return the memories that no pattern of the configuration keeps out of prompts."""
        if not self._patterns:
            return records
        return await asyncio.to_thread(lambda: [each for each in records if not self._patterns.verdict(each.content)])

    def _policy(self, form: Recall) -> RecallPolicy:
        own = MemoryPluginSettings(retrieval_limit=form.limit)
        policy = resolve_policy(self._settings, own, default_threshold=self._default_threshold).recall
        return replace(policy, types=_types(form.types))


def _types(kinds: Sequence[Kind]) -> frozenset[MemoryType]:
    return frozenset(map(MemoryType, kinds)) or ALL_TYPES
