"""Two scans side by side: what both stores keep, and what only one of them does."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from memrouter.models.memory import MemoryRecord, owner_key
from memrouter.stores.query import ScanPage

_PLAIN = attrgetter(
    "id",
    "user_id",
    "project_id",
    "type",
    "content",
    "embedding_model",
    "source",
    "trust",
    "importance",
    "created_at",
    "updated_at",
    "last_accessed",
    "expires_at",
    "access_count",
    "conversation_id",
    "turn_index",
    "role",
    "superseded_by",
    "quarantine",
    "pinned",
    "links",
    "history",
)


def same_memory(one: MemoryRecord, other: MemoryRecord) -> bool:
    """Return whether two records agree in every field; the vectors bit by bit."""
    return _PLAIN(one) == _PLAIN(other) and np.array_equal(one.embedding, other.embedding)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A memory as two stores keep it; None where a store does not have it. Never None in both."""

    left: MemoryRecord | None
    right: MemoryRecord | None

    @property
    def user_id(self) -> str:
        """Return the owner."""
        return self._any.user_id

    @property
    def same(self) -> bool:
        """Return whether both have it and every field agrees."""
        return self.left is not None and self.right is not None and same_memory(self.left, self.right)

    @property
    def _any(self) -> MemoryRecord:
        record = self.left or self.right
        if record is None:
            msg = "a pair without a memory"
            raise ValueError(msg)
        return record


async def joined(left: AsyncIterator[ScanPage], right: AsyncIterator[ScanPage]) -> AsyncIterator[Pair]:
    """Give the memories of two scans of the same question, in the order of the scans; holds a page of each.

    A memory whose ``created_at`` differs comes twice, once for each side.
    """
    ours, theirs = _Placed(left), _Placed(right)
    mine, yours = await ours.next(), await theirs.next()
    while mine is not None or yours is not None:
        if yours is None or (mine is not None and mine[0] < yours[0]):
            yield Pair(mine[1] if mine is not None else None, None)
            mine = await ours.next()
        elif mine is None or yours[0] < mine[0]:
            yield Pair(None, yours[1])
            yours = await theirs.next()
        else:
            yield Pair(mine[1], yours[1])
            mine, yours = await ours.next(), await theirs.next()


class _Placed:
    """The memories of a scan, one by one, each with its place in the order of scans."""

    def __init__(self, pages: AsyncIterator[ScanPage]) -> None:
        self._pages = pages
        self._records: list[MemoryRecord] = []
        self._user_id: str | None = None
        self._owner = ""

    async def next(self) -> tuple[tuple[str, int, str], MemoryRecord] | None:
        """Return the next memory; None at the end."""
        if not self._records:
            page = await anext(self._pages, None)
            if page is None:
                return None
            self._records = list(reversed(page.records))
        record = self._records.pop()
        if record.user_id != self._user_id:
            self._user_id, self._owner = record.user_id, owner_key(record.user_id)
        return (self._owner, record.created_at, record.id), record
