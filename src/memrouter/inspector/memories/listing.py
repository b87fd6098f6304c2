"""A person's memories as a list: searched, filtered, sorted and in pages."""

import asyncio
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, TypeVar

from starlette.datastructures import QueryParams

from memrouter.api.memory_conversations import ListParams, named_conversation
from memrouter.api.memory_forms import MAX_QUERY_CHARS, Search
from memrouter.api.memory_search import MemorySearch
from memrouter.api.memory_views import MemoryView
from memrouter.errors import InvalidRequest
from memrouter.memory.service import MemoryService
from memrouter.models.memory import MAX_ID_CHARS, MemoryRecord, MemoryType, Scope, Source
from memrouter.stores.query import ALL_TYPES

PAGE: Final = 25
MAX_FOUND: Final = 50
"""Most memories that a search by meaning shows."""
MAX_READ: Final = 20_000
"""Most memories that are read to be sorted, or looked through for words."""

_READ_AT_ONCE: Final = 500
E = TypeVar("E", bound=StrEnum)


class Manner(StrEnum):
    """How a search compares."""

    MEANING = "meaning"
    """As the router does for a chat."""
    WORDS = "words"
    """The text holds all of the words, in any order."""


class State(StrEnum):
    """Which memories a list shows."""

    CURRENT = "current"
    REPLACED = "replaced"
    ALL = "all"


class Order(StrEnum):
    """How a list is sorted."""

    NEWEST = "newest"
    OLDEST = "oldest"
    CHANGED = "changed"
    IMPORTANCE = "importance"
    RECALLED = "recalled"


_ORDERS: Final[dict[Order, Callable[[MemoryRecord], Any]]] = {
    Order.NEWEST: lambda record: (-record.created_at, record.id),
    Order.OLDEST: lambda record: (record.created_at, record.id),
    Order.CHANGED: lambda record: (-record.updated_at, record.id),
    Order.IMPORTANCE: lambda record: (-record.importance, -record.created_at, record.id),
    Order.RECALLED: lambda record: (-record.access_count, -(record.last_accessed or 0), record.id),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to see.

    Attributes:
        text: What to search for; empty for all.
        manner: How to search.
        nearest: Whether a search by meaning also shows what is too far from its text to be recalled.
        types: Kinds of memory.
        source: How they came to be written; None for any.
        state: Replaced ones or not.
        pinned: Only pinned ones.
        session: Only those of the conversation whose requests named this session.
        conversation: Only those of this conversation.
        order: How they are sorted; a search by meaning has an order of its own.
        after: Where the page begins: ``next`` of the page before; empty for the first one.
    """

    text: str = ""
    manner: Manner = Manner.MEANING
    nearest: bool = False
    types: frozenset[MemoryType] = ALL_TYPES
    source: Source | None = None
    state: State = State.CURRENT
    pinned: bool = False
    session: str = ""
    conversation: str = ""
    order: Order = Order.NEWEST
    after: str = ""

    @classmethod
    def read(cls, asked: QueryParams) -> "Wanted":
        """Return what the address of a page says.

        Raises:
            InvalidRequest: It says something that cannot be.
        """
        text = asked.get("q", "").replace("\0", "").strip()
        if len(text) > MAX_QUERY_CHARS:
            raise InvalidRequest(f"a search has at most {MAX_QUERY_CHARS} characters", param="q")
        types = frozenset(one_of(MemoryType, name, "type") for name in asked.getlist("type") if name)
        source = asked.get("source", "")
        return cls(
            text=text,
            manner=one_of(Manner, asked.get("by") or Manner.MEANING, "by"),
            nearest=asked.get("nearest") == "1",
            types=types or ALL_TYPES,
            source=one_of(Source, source, "source") if source else None,
            state=one_of(State, asked.get("state") or State.CURRENT, "state"),
            pinned=asked.get("pinned") == "1",
            session=asked.get("session", ""),
            conversation=asked.get("conversation", ""),
            order=one_of(Order, asked.get("sort") or Order.NEWEST, "sort"),
            after=asked.get("after", "")[: 4 * MAX_ID_CHARS],
        )

    @property
    def by_meaning(self) -> bool:
        """Return whether this is a search by meaning."""
        return bool(self.text) and self.manner is Manner.MEANING

    @property
    def is_filtered(self) -> bool:
        """Return whether something is left out that a first look would show."""
        return self != Wanted(order=self.order, after=self.after, manner=self.manner)

    @property
    def is_narrowed(self) -> bool:
        """Return whether anything but a search leaves something out."""
        return replace(self, text="", nearest=False).is_filtered

    def words(self) -> tuple[str, ...]:
        """Return the words that a text must hold."""
        return tuple(folded(self.text).split())

    def holds(self, record: MemoryRecord | MemoryView) -> bool:
        """Return whether a memory that a store or search gave is wanted, the conversation apart."""
        is_current = record.superseded_by is None
        return (
            record.type in self.types
            and self.source in (None, record.source)
            and (record.pinned or not self.pinned)
            and (self.state is State.ALL or is_current is (self.state is State.CURRENT))
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list.

    Attributes:
        memories: In order; those of a search by meaning have their scores.
        total: How many there are on all pages.
        next: What ``Wanted.after`` must be for the next page; empty on the last one.
        complete: Whether all memories were looked at.
        best_miss: Highest score that was too low to be recalled, of a search by meaning that found nothing.
    """

    memories: Sequence[MemoryView]
    total: int
    next: str = ""
    complete: bool = True
    best_miss: float | None = None


class Listing:
    """Lists memories of whoever is looking.

    Args:
        service: Keeps them.
        search: Finds by meaning.
    """

    def __init__(self, service: MemoryService, search: MemorySearch) -> None:
        self._service = service
        self._search = search

    async def page(self, scope: Scope, wanted: Wanted) -> Listed:
        """Return one page.

        Raises:
            InvalidRequest: ``after`` is not one that was given out, or the session cannot be one.
            StoreUnavailable, EmbeddingError: It cannot be had now.
        """
        conversation = await self._conversation(scope, wanted)
        if wanted.by_meaning:
            return await self._found(scope, wanted, conversation)
        in_store_order = wanted.order is Order.NEWEST and not wanted.pinned and wanted.state is not State.REPLACED
        if in_store_order and not wanted.text:
            return await self._stored(scope, wanted, conversation)
        return await self._sorted(scope, wanted, conversation)

    async def _conversation(self, scope: Scope, wanted: Wanted) -> str | None:
        """Return the name of the conversation that is meant; a session that was typed in goes before it."""
        return await conversation_of(
            self._service, scope, session=wanted.session, conversation="" if wanted.session else wanted.conversation
        )

    async def _found(self, scope: Scope, wanted: Wanted, conversation: str | None) -> Listed:
        form = Search(
            query=wanted.text,
            limit=min(MAX_FOUND, self._search.most),
            threshold=0.0 if wanted.nearest else None,
            types=sorted(wanted.types),
            adaptive_threshold=False,
        )
        result = await self._search.run(self._service, scope, form)
        hits = [hit for hit in result.memories if wanted.holds(hit) and conversation in (None, hit.conversation_id)]
        return Listed(hits, len(hits), best_miss=result.best_miss)

    async def _stored(self, scope: Scope, wanted: Wanted, conversation: str | None) -> Listed:
        page = await self._service.list(
            scope,
            types=wanted.types,
            sources=None if wanted.source is None else frozenset({wanted.source}),
            limit=PAGE,
            cursor=wanted.after or None,
            conversation_id=conversation,
            include_superseded=wanted.state is State.ALL,
        )
        following = page.next.encode() if page.next else ""
        return Listed([MemoryView.of(record) for record in page.records], page.total, following)

    async def _sorted(self, scope: Scope, wanted: Wanted, conversation: str | None) -> Listed:
        """Return a page of an order that stores do not have, by reading everything that is wanted."""
        begin = _offset(wanted.after)
        records, complete = await self._read(scope, wanted, conversation)

        def chosen() -> list[MemoryRecord]:
            words = wanted.words()
            holding = [
                record
                for record in records
                if wanted.holds(record) and (not words or _has_all(folded(record.content), words))
            ]
            return sorted(holding, key=_ORDERS[wanted.order])

        found = await asyncio.to_thread(chosen)
        following = begin + PAGE
        return Listed(
            [MemoryView.of(record) for record in found[begin:following]],
            len(found),
            str(following) if following < len(found) else "",
            complete,
        )

    async def _read(self, scope: Scope, wanted: Wanted, conversation: str | None) -> tuple[list[MemoryRecord], bool]:
        """Return the memories that a filter of the store holds, newest first, and whether these are all."""
        records: list[MemoryRecord] = []
        cursor: str | None = None
        while len(records) < MAX_READ:
            page = await self._service.list(
                scope,
                types=wanted.types,
                sources=None if wanted.source is None else frozenset({wanted.source}),
                limit=_READ_AT_ONCE,
                cursor=cursor,
                conversation_id=conversation,
                include_superseded=wanted.state is not State.CURRENT,
            )
            records += page.records
            if page.next is None:
                return records, True
            cursor = page.next.encode()
        return records, False


async def conversation_of(
    service: MemoryService, scope: Scope, *, session: str = "", conversation: str = ""
) -> str | None:
    """Return the name of the conversation that a session or its own name means; None where both are empty.

    Raises:
        InvalidRequest: No conversation can have this name.
    """
    said = {"session_id": session, "conversation_id": conversation}
    try:
        params = ListParams.model_validate({name: value for name, value in said.items() if value})
    except ValueError:
        raise InvalidRequest("no conversation can have this name", param="session") from None
    return await named_conversation(service, scope, params)


def one_of(kind: type[E], name: str, param: str) -> E:
    """Return the member of this value.

    Raises:
        InvalidRequest: There is none.
    """
    try:
        return kind(name)
    except ValueError:
        raise InvalidRequest(f"{param} is one of {', '.join(kind)}", param=param) from None


def folded(text: str) -> str:
    """Return a text in the form in which words are compared: compatible forms and letter case are one."""
    return unicodedata.normalize("NFKC", text).casefold()


def _has_all(content: str, words: Sequence[str]) -> bool:
    return all(word in content for word in words)


def _offset(after: str) -> int:
    if after and not (after.isascii() and after.isdigit() and len(after) <= len(str(MAX_READ))):
        raise InvalidRequest("this page of the list is gone; begin with the first one", param="after")
    return int(after or 0)
