"""Reads and writes one user's LangGraph items in the memory store."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from memrouter.embedded.user_memory import UserMemory
from memrouter.errors import InvalidRequest
from memrouter.integrations.langgraph_items import (
    ITEM_ROLE,
    TEXT_ROLE,
    Namespace,
    StoredItem,
    encodable,
    item_id,
    item_of,
    kept_texts,
    screened,
    text_ids,
)
from memrouter.memory.corrections import over_limit
from memrouter.memory.injection.blocks import strip_blocks
from memrouter.memory.screening.screen import Rejected
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.audit import audit
from memrouter.memory.storing.drafts import MAX_TIME_MS
from memrouter.memory.storing.edits import Plan
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source, Trust, Vector, cut_to_bytes
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import Cursor, ListQuery, StoreQuery

PAGE: Final = 500
SCAN_LIMIT: Final = 10_000
"""Up to this many memories of a user a search compares all of them."""
MIN_CANDIDATES: Final = 200
"""Fewest texts that are compared for a user who has more."""
MINUTE_MS: Final = 60_000

KEPT_APART: Final = "system_prompt"
"""Rule under which a text is kept apart that is refused elsewhere: agents keep their own instructions in stores."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """An item with the memory that holds it."""

    item: StoredItem
    record: MemoryRecord


@dataclass(frozen=True, slots=True, eq=False)
class Put:
    """An item to be kept, with its memories' vectors; or to be removed.

    Attributes:
        memory_id: Of the memory that holds the item.
        item: None to remove it.
        contents: Of all its memories, the item's own first.
        vectors: Of these contents.
        quarantine: The rule for which it must be kept apart; None for none.
    """

    memory_id: str
    item: StoredItem | None = None
    contents: Sequence[str] = ()
    vectors: Sequence[Vector] = ()
    quarantine: str | None = None


class ItemKeeper:
    """One user's items.

    Args:
        memory: The user's memories, in the project that is to hold items.

    Raises:
        ConfigError: Memory is switched off.
    """

    def __init__(self, memory: UserMemory) -> None:
        runtime = memory.runtime
        self._scope: Scope = memory.scope
        self._clock = runtime.clock
        self._service: MemoryService = memory.service
        self._store: MemoryStore = memory.store

    async def get(self, namespace: Namespace, key: str) -> Kept | None:
        """Return an item, also one that is kept apart; None where there is none."""
        memory_id = item_id(self._scope, namespace, key)
        found = [kept for kept in map(_kept, await self._get([memory_id])) if kept is not None]
        same = [kept for kept in found if (kept.item.namespace, kept.item.key) == (namespace, key)]
        return same[0] if same else None

    async def all(self) -> Sequence[Kept]:
        """Return all items, those that are kept apart too, the last changed first."""
        found = [kept async for record in self._listed() if (kept := _kept(record)) is not None]
        return sorted(found, key=lambda kept: (kept.record.updated_at, kept.record.id), reverse=True)

    async def found(
        self, query: str, accepts: Callable[[StoredItem], bool], *, most: int
    ) -> Sequence[tuple[Kept, float | None]]:
        """Return items by the likeness of their best text to a query, then those that have no text to be found by.

        What is kept apart is not among them. Of a user with more than ``SCAN_LIMIT`` memories the nearest are compared.

        Args:
            query: What is asked.
            accepts: Which items.
            most: Most items that are needed.
        """
        (vector,) = await self._service.gate.admission.embed([query])
        question = StoreQuery(
            vector=vector, k=max(MIN_CANDIDATES, 4 * most), now=self._clock.now_ms(), scan_limit=SCAN_LIMIT
        )
        answer = await self._store.search(self._scope, question)
        best: dict[str, float] = {}
        items: dict[str, Kept] = {}
        for record, score in zip(answer.records or (), answer.scores or (), strict=True):
            if record.role == TEXT_ROLE and record.links:
                best.setdefault(record.links[0], score)  # nearest first
            elif (kept := _kept(record)) is not None:
                items[record.id] = kept
        for record in await self._get([name for name in best if name not in items]):
            if (kept := _kept(record)) is not None and record.visible(question.now):
                items[record.id] = kept
        fitting = {name: kept for name, kept in items.items() if accepts(kept.item)}
        scored = [(fitting[name], score) for name, score in best.items() if name in fitting]
        return [*scored, *((kept, None) for name, kept in fitting.items() if name not in best)]

    async def prepared(
        self,
        namespace: Namespace,
        key: str,
        value: Mapping[str, Any],
        texts: Callable[[Any], Sequence[str]],
        ttl: float | None,
    ) -> Put:
        """Return an item that is ready to be kept: without secrets, with vectors.

        Args:
            namespace: Where.
            key: Its name there.
            value: Plain data.
            texts: Gives the texts of a value that are to be found by meaning.
            ttl: Minutes that it lives after it was last used; None for ever.

        Raises:
            InvalidRequest: A text must not be kept, or the item is too long.
            EmbeddingError: The embedder failed.
        """
        rules: list[str] = []
        clean = screened(value, partial(self._clean, rules))
        found = kept_texts(texts(clean))
        item = StoredItem(value=clean, namespace=namespace, key=key, texts=len(found), ttl=ttl)
        contents = [item.content(), *found]
        vectors = await self._service.gate.admission.embed(contents)
        memory_id = item_id(self._scope, namespace, key)
        return Put(memory_id, item, contents, vectors, rules[0] if rules else None)

    def removal(self, namespace: Namespace, key: str) -> Put:
        """Return the removal of an item."""
        return Put(item_id(self._scope, namespace, key))

    async def put(self, puts: Sequence[Put]) -> None:
        """Keep and remove items, all or none.

        Raises:
            Forbidden: Saving is switched off for the user.
            InvalidRequest: The user has as many memories as may be.
        """
        if any(put.item is not None for put in puts):
            await self._service.switches.require_saving(self._scope.user_id)
        changed = await self._service.gate.edits.apply(self._scope.user_id, partial(self._plan, puts))
        for event, ids in (("stored", changed[0]), ("deleted", changed[1])):
            if ids:
                audit(event, self._scope.user_id, ids, actor=Actor.OWNER, rule=ITEM_ROLE)

    async def refresh(self, items: Sequence[Kept]) -> None:
        """Let items that live for a time begin it anew."""
        names = [name for kept in items if kept.item.ttl is not None for name in _ids(kept)]
        if not names:
            return

        async def plan() -> Plan[None]:
            ttls = {name: kept.item.ttl for kept in items for name in _ids(kept)}
            records = await self._get(names)
            return Plan(None, [replace(one, expires_at=self._expiry(ttls[one.id])) for one in records])

        await self._service.gate.edits.apply(self._scope.user_id, plan)

    async def _plan(self, puts: Sequence[Put]) -> Plan[tuple[Sequence[str], Sequence[str]]]:
        there = {
            record.id: kept for record in await self._get([put.memory_id for put in puts]) if (kept := _kept(record))
        }
        old = {name for kept in there.values() for name in _ids(kept)}
        new = [record for put in puts for record in self._records(put, there.get(put.memory_id))]
        names = {record.id for record in new}
        adding = sum(record.quarantine is None for record in new) - len(old)
        now, user_id = self._clock.now_ms(), self._scope.user_id
        evicted: frozenset[str] = frozenset()
        if adding > 0:
            room = await self._service.gate.capacity.room(user_id, adding, now=now, spared=names | old)
            if room.short:
                raise over_limit()
            evicted = room.evicted
        gone = frozenset(old - names)
        return Plan((sorted(names), sorted(gone)), new, gone | evicted)

    def _records(self, put: Put, before: Kept | None) -> Sequence[MemoryRecord]:
        if put.item is None:
            return ()
        now = self._clock.now_ms()
        created = now if before is None else before.record.created_at
        names = [put.memory_id, *text_ids(put.memory_id, put.item.texts)]
        return [
            MemoryRecord(
                id=name,
                user_id=self._scope.user_id,
                project_id=self._scope.project_id or "",
                content=content,
                embedding=vector,
                embedding_model=self._service.gate.admission.embedding_model,
                created_at=created,
                updated_at=now,
                type=MemoryType.SEMANTIC,
                source=Source.API,
                trust=Trust.MODEL,
                expires_at=self._expiry(put.item.ttl),
                role=ITEM_ROLE if name == put.memory_id else TEXT_ROLE,
                quarantine=put.quarantine,
                pinned=True,
                links=() if name == put.memory_id else (put.memory_id,),
            )
            for name, content, vector in zip(names, put.contents, put.vectors, strict=True)
        ]

    def _expiry(self, ttl: float | None) -> int | None:
        return None if ttl is None else min(MAX_TIME_MS, self._clock.now_ms() + int(ttl * MINUTE_MS))

    def _clean(self, rules: list[str], text: str) -> str:
        """Return what may be kept of a text; adds to ``rules`` that for which it must be kept apart."""
        bare = strip_blocks(encodable(text))
        if not bare.strip():
            return bare
        screen = self._service.gate.admission.screen
        answer = screen.screen(cut_to_bytes(bare), trust=Trust.MODEL, role=None, explicit=True)
        if isinstance(answer, Rejected):
            if answer.reason != KEPT_APART:
                raise InvalidRequest(f"this text is not kept: {answer.reason}", code="not_storable", param="value")
            rules.append(KEPT_APART)
            return bare
        if answer.quarantine is not None:
            rules.append(answer.quarantine)
        return answer.content if answer.redacted else bare

    async def _get(self, names: Sequence[str]) -> Sequence[MemoryRecord]:
        return await self._store.get(self._scope, names, now=self._clock.now_ms()) if names else ()

    async def _listed(self) -> AsyncIterator[MemoryRecord]:
        for quarantined in (False, True):
            after: Cursor | None = None
            while True:
                query = ListQuery(limit=PAGE, now=self._clock.now_ms(), after=after, quarantined=quarantined)
                page = await self._store.list(self._scope, query)
                for record in page.records:
                    yield record
                after = page.next
                if after is None:
                    break


def _kept(record: MemoryRecord) -> Kept | None:
    item = item_of(record)
    return None if item is None else Kept(item, record)


def _ids(kept: Kept) -> Sequence[str]:
    return [kept.record.id, *text_ids(kept.record.id, kept.item.texts)]
