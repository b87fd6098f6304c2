"""A way through a store from one user to the next, with the memories of one at a time in hand."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from memrouter.memory.upkeep.pace import Pace
from memrouter.models.memory import MemoryRecord
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import ScanPage, ScanQuery

PAGE: Final = 100
"""Memories that are read at a time: some 2 ms of work."""
MOST_AT_ONCE: Final = 10_000
"""Most memories of a user in one part."""


@dataclass(slots=True)
class Part:
    """Memories of one user; all of them, unless there are too many for one part.

    Attributes:
        user_id: Whose.
        before: From where a scan comes by this part again; None for the beginning.
        records: The memories, oldest first, superseded and expired ones too.
    """

    user_id: str
    before: str | None
    records: list[MemoryRecord] = field(default_factory=list)


async def parts(
    store: MemoryStore,
    *,
    pace: Pace,
    user_id: str | None = None,
    after: str | None = None,
    page: int = PAGE,
    most: int = MOST_AT_ONCE,
) -> AsyncGenerator[Part, None]:
    """Yield the memories of one user after the other; who may stop early closes it.

    Args:
        store: Where.
        pace: Is asked to rest after each page.
        user_id: Only this user; None for everybody.
        after: Where to begin; see ``Part.before``.
        page: Memories that are read at a time.
        most: Most memories of one part.

    Raises:
        StoreUnavailable: The store failed.
        InvalidRequest: ``after`` is no position in this kind of store.
    """
    part, position = None, after
    async with aclosing(_pages(store, ScanQuery(user_id=user_id, after=after, page=page))) as pages:
        async for read in pages:
            for record in read.records:
                if part is not None and (record.user_id != part.user_id or len(part.records) >= most):
                    yield part
                    part = None
                part = part or Part(record.user_id, position)
                part.records.append(record)
            position = read.position
            await pace.rest()
    if part is not None:
        yield part


async def _pages(store: MemoryStore, query: ScanQuery) -> AsyncGenerator[ScanPage, None]:
    async for page in store.scan(query):
        yield page
