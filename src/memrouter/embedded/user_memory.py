"""One user's memories in this process."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from msgspec import UNSET, UnsetType

from memrouter.client.answers import Consolidation, History, ImportReport, Memory, SearchResult, Stats
from memrouter.client.exported import ExportReader
from memrouter.client.files import PartFile, chunks_of
from memrouter.config.memory import MemoryPluginSettings
from memrouter.embedded.chat import ChatContext, Message, chat_context, store_turn
from memrouter.embedded.views import (
    consolidation_of,
    events_of,
    import_of,
    memory_of,
    milliseconds,
    result_of,
    stats_of,
)
from memrouter.errors import ConfigError, ConfigProblem, DamagedData, InvalidRequest
from memrouter.memory.policy import RecallPolicy, resolve_policy
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.drafts import MemoryDraft, MemoryEdit
from memrouter.memory.upkeep.upkeep import Upkeep
from memrouter.models.history import Actor
from memrouter.models.memory import DEFAULT_PROJECT, MemoryType, Scope, Source, Trust
from memrouter.runtime import Runtime
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import ALL_TYPES, MergeMode
from memrouter.transfer.own import OwnTransfer
from memrouter.transfer.report import Outcomes

PAGE: Final = 200

TypeName = MemoryType | Literal["semantic", "procedural", "episodic"]


class UserMemory:
    """Remembers, recalls and forgets for one user.

    Every method may raise ``StoreUnavailable``; those that take text may raise ``EmbeddingError``; ``InvalidRequest``
    says that a value is out of range or that a text must not be kept, ``Forbidden`` that saving is switched off for
    the user, ``NotFound`` that a memory is absent or someone else's.

    Args:
        runtime: What it works with; closed by whoever opened it.
        scope: Whose memories, in which project.

    Attributes:
        runtime: As given.
        scope: As given.
        service: What the methods are made of.
        store: Keeps the memories, with all that is wrapped around it.

    Raises:
        ConfigError: Memory is switched off in the configuration.
    """

    def __init__(self, runtime: Runtime, scope: Scope) -> None:
        self.runtime = runtime
        self.scope = scope
        if runtime.memory is None or runtime.store is None or runtime.upkeep is None or runtime.transfer is None:
            raise _switched_off()
        self.service: MemoryService = runtime.memory
        self.store: MemoryStore = runtime.store
        self._upkeep: Upkeep = runtime.upkeep
        self._transfer: OwnTransfer = runtime.transfer

    def of(self, user: str, *, project: str = DEFAULT_PROJECT) -> "UserMemory":
        """Return another user's memories in the same store; closed together with this."""
        return UserMemory(self.runtime, Scope(user, project))

    async def remember(
        self,
        content: str,
        *,
        type: TypeName = MemoryType.SEMANTIC,  # noqa: A002 - the name that the field has everywhere
        importance: float = 0.5,
        trust: Trust = Trust.DIRECT_USER,
        expires_at: datetime | None = None,
        conversation_id: str | None = None,
    ) -> Memory:
        """Remember a text and return the memory that holds it; one that is remembered already is not stored again.

        Args:
            content: 1 to 16,384 bytes of UTF-8. Secrets in it are masked; what looks like an instruction to a model
                is quarantined: ``quarantine`` of the answer is not None then.
            type: Kind of knowledge.
            importance: 0 to 1.
            trust: Whose words these are.
            expires_at: When it stops being visible; an aware time in the future.
            conversation_id: The conversation it comes from.
        """
        draft = MemoryDraft(
            content=content,
            type=_type(type),
            source=Source.API,
            trust=trust,
            importance=importance,
            expires_at=None if expires_at is None else milliseconds(expires_at),
            conversation_id=conversation_id,
        )
        return (await self._remember([draft]))[0]

    async def remember_many(self, contents: Iterable[str]) -> Sequence[Memory]:
        """Remember all texts or none, and return the memories that hold them, in this order."""
        return await self._remember([MemoryDraft(content, source=Source.API) for content in contents])

    async def recall(
        self,
        query: str,
        *,
        limit: int | None = None,
        threshold: float | None = None,
        types: Iterable[TypeName] = (),
    ) -> SearchResult:
        """Return the memories that bear on a question, best first.

        Args:
            query: What is asked.
            limit: Most memories; as configured unless named.
            threshold: Lowest score, 0 to 1, of a relevant one; as configured unless named.
            types: Kinds of memory; none named for all.
        """
        policy = self._policy(limit, threshold, types)
        return result_of(await self.service.recall(self.scope, query, policy), threshold=policy.threshold)

    async def list(self, *, types: Iterable[TypeName] = (), include_superseded: bool = False) -> AsyncIterator[Memory]:
        """Give all memories, newest first; read page by page."""
        cursor, wanted = None, _types(types)
        while True:
            page = await self.service.list(
                self.scope, types=wanted, limit=PAGE, cursor=cursor, include_superseded=include_superseded
            )
            for record in page.records:
                yield memory_of(record)
            if page.next is None:
                return
            cursor = page.next.encode()

    async def get(self, memory_id: str) -> Memory:
        """Return one memory, superseded, quarantined or not."""
        return memory_of(await self.service.get(self.scope, memory_id))

    async def edit(
        self,
        memory_id: str,
        *,
        content: str | None = None,
        type: TypeName | None = None,  # noqa: A002 - the name that the field has everywhere
        importance: float | None = None,
        expires_at: datetime | UnsetType | None = UNSET,
    ) -> Memory:
        """Change one memory and return it; what is left out stays, and ``expires_at=None`` takes an expiry away."""
        edit = MemoryEdit(
            content=content,
            type=None if type is None else _type(type),
            importance=importance,
            expires_at=milliseconds(expires_at) if isinstance(expires_at, datetime) else expires_at,
        )
        return memory_of(await self.service.edit(self.scope, memory_id, edit))

    async def supersede(self, memory_id: str, content: str) -> Memory:
        """Put a new fact in the place of a memory and return the memory that holds it; the old one is kept, unseen."""
        return memory_of(await self.service.corrections.supersede(self.scope, memory_id, content))

    async def undo(self, memory_id: str) -> Memory:
        """Take back a replacement, given either memory, and return the one that is found again."""
        return memory_of(await self.service.corrections.undo(self.scope, memory_id))

    async def history(self, memory_id: str) -> History:
        """Return what happened to a memory, and the memories that replaced one another."""
        corrections = self.service.corrections
        entries = await corrections.history(self.scope, memory_id)
        chain = await corrections.chain(self.scope, memory_id)
        return History(history=events_of(entries), chain=tuple(map(memory_of, chain)))

    async def pin(self, memory_id: str) -> Memory:
        """Have a memory never pruned, evicted or merged."""
        return memory_of(await self.service.corrections.pin(self.scope, memory_id))

    async def unpin(self, memory_id: str) -> Memory:
        """Take back a ``pin``."""
        return memory_of(await self.service.corrections.unpin(self.scope, memory_id))

    async def quarantined(self) -> AsyncIterator[Memory]:
        """Give the memories that are kept apart, newest first."""
        cursor = None
        while True:
            page = await self.service.list(self.scope, limit=PAGE, cursor=cursor, quarantined=True)
            for record in page.records:
                yield memory_of(record)
            if page.next is None:
                return
            cursor = page.next.encode()

    async def release(self, memory_id: str) -> Memory:
        """Let a quarantined memory be found from now on, and return it."""
        return memory_of(await self.service.corrections.release(self.scope, memory_id))

    async def forget(self, memory_id: str) -> None:
        """Remove a memory for good, with what it replaced."""
        await self.service.forget(self.scope, memory_id)

    async def forget_all(self, *, types: Iterable[TypeName] = ()) -> int:
        """Remove all of the user's memories in this project, or those of some types; return how many."""
        return await self.service.forget_all(self.scope, _types(types))

    async def forget_conversation(self, conversation_id: str) -> int:
        """Remove everything that came from a conversation, by the name that its memories have; return how many."""
        return await self.service.forget_conversation(self.scope, conversation_id)

    async def stats(self) -> Stats:
        """Return figures about the visible memories."""
        return stats_of(await self.service.stats(self.scope))

    async def consolidate(self, *, dry_run: bool = False) -> Consolidation:
        """Merge memories that say the same; with ``dry_run`` only say which."""
        report = await self._upkeep.consolidation.run(
            user_id=self.scope.user_id,
            project_id=self.scope.project_id,
            most=self.runtime.settings.memory.consolidation.max_groups,
            dry_run=dry_run,
            actor=Actor.OWNER,
        )
        return consolidation_of(report)

    async def chat_context(self, messages: Iterable[Message], *, conversation: str | None = None) -> ChatContext:
        """Return messages for a model, with the memories that bear on the last question among them.

        Never fails for memory's sake: where it cannot be had, the messages come back as they are and ``status`` says
        ``unavailable``.

        Args:
            messages: The chat so far, the question last.
            conversation: Name of the conversation, so that what its messages say already is not recalled; without
                one its first words name it.

        Raises:
            InvalidRequest: The messages are not those of a chat.
        """
        return await chat_context(self.runtime, self.scope, messages, conversation=conversation)

    async def store_turn(
        self, user: str | Iterable[Message], assistant: str, *, conversation: str | None = None
    ) -> None:
        """Remember what was said, as a router does after an answer; small talk is passed over.

        Args:
            user: What the user said, or the chat so far with that last. Blocks of memories in it are left out.
            assistant: What the model answered.
            conversation: As for ``chat_context``.
        """
        await store_turn(self.runtime, self.scope, user, assistant, conversation=conversation)

    async def export_to(self, path: str | Path, *, vectors: bool = True) -> int:
        """Write all of the user's memories, of all projects, to a file that ``import_`` takes; return how many.

        Raises:
            OSError: The file cannot be written.
        """
        reader = ExportReader()
        file = await asyncio.to_thread(PartFile.open, Path(path))
        try:
            async for piece in await self._transfer.export(self.scope.user_id, project_id=None, vectors=vectors):
                for _ in reader.take(piece):
                    pass
                await asyncio.to_thread(file.write, piece)
            reader.end()
            await asyncio.to_thread(file.keep)
        finally:
            await asyncio.to_thread(file.close)
        return reader.count

    async def import_(
        self,
        path: str | Path,
        *,
        merge: Literal["skip", "replace", "newer"] = "skip",
        map_user: bool = False,
    ) -> ImportReport:
        """Take a file of exported memories into the user's own; doing it again changes nothing more.

        Args:
            path: The file.
            merge: Where a memory of the same id is there: ``skip`` keeps it, ``replace`` replaces it, ``newer`` keeps
                the newer.
            map_user: Whether memories that another user exported become this user's; they are refused otherwise.

        Raises:
            DamagedData: A line is damaged; those before it were imported.
            OSError: The file cannot be read.
        """
        report = await self._transfer.bring(
            self.scope.user_id,
            _read(Path(path)),
            mode=MergeMode(merge),
            take_over=map_user,
            max_line_bytes=self.runtime.settings.memory.limits.import_line_bytes,
            outcomes=Outcomes(),
        )
        if report.damage is not None:
            raise DamagedData(report.damaged_line or 0, report.damage)
        return import_of(report)

    async def _remember(self, drafts: Sequence[MemoryDraft]) -> Sequence[Memory]:
        return [memory_of(record) for record in await self.service.remember(self.scope, drafts)]

    def _policy(self, limit: int | None, threshold: float | None, types: Iterable[TypeName]) -> RecallPolicy:
        if limit is not None and limit < 1:
            raise InvalidRequest("limit must be at least 1", param="limit")
        own = MemoryPluginSettings(retrieval_limit=limit, similarity_threshold=threshold)
        settings = self.runtime.settings.memory
        policy = resolve_policy(settings, own, default_threshold=self.runtime.default_threshold).recall
        return replace(policy, types=_types(types))


async def _read(path: Path) -> AsyncIterator[bytes]:
    chunks = chunks_of(path)
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk


def _type(name: TypeName) -> MemoryType:
    try:
        return MemoryType(name)
    except ValueError:
        raise InvalidRequest(f"type must be one of {', '.join(MemoryType)}", param="type") from None


def _types(names: Iterable[TypeName]) -> frozenset[MemoryType]:
    return frozenset(map(_type, names)) or ALL_TYPES


def _switched_off() -> ConfigError:
    return ConfigError(
        [
            ConfigProblem(
                file="<configuration>",
                line=None,
                key="global.stores.memory.enabled",
                found="false, in every route",
                allowed="true",
                hint="Switch memory on to use it in a program",
            )
        ]
    )
