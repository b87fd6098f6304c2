"""Memories of the new store that were never the old one's, and must not be removed by mistake."""

from collections.abc import AsyncIterator
from typing import Final

from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.joined import Pair

TOLERATED: Final = 100
"""Most memories that a copy which was stopped may have left in the new store after they were deleted in the old."""
MAX_LOOKED_AT: Final = 1_000
"""Most memories that only the new store holds that are looked at one by one."""


class Strangers(Exception):
    """The new store holds memories that were never the old one's."""


async def require_no_strangers(old: MemoryStore, new: MemoryStore, pairs: AsyncIterator[Pair]) -> None:
    """Make sure that the new store holds nothing but what an earlier copy of the old one may have left there.

    A memory newer than everything in the old store has another origin, and so have many that the old one lacks.

    Args:
        old: The store whose memories move.
        new: Where they go.
        pairs: Everything in both, the old one's on the left.

    Raises:
        Strangers: It does hold others; the message names the ways out.
        StoreError: One of the stores could not be read.
    """
    newest = 0
    only_new: list[MemoryRecord] = []
    async for pair in pairs:
        if pair.left is not None:
            newest = max(newest, pair.left.created_at)
        elif pair.right is not None:
            only_new.append(pair.right)
        if len(only_new) > MAX_LOOKED_AT:
            break
    strangers = [record for record in only_new if not await _moved_meanwhile(old, new, record)]
    if len(strangers) > TOLERATED or any(record.created_at > newest for record in strangers):
        at_least = "at least " if len(only_new) > MAX_LOOKED_AT else ""
        raise Strangers(
            f"the new store holds {at_least}{len(strangers)} memories that the old one does not have, and they would "
            "be removed; empty it, or set global.stores.memory.migration.overwrite: true"
        )


async def _moved_meanwhile(old: MemoryStore, new: MemoryStore, record: MemoryRecord) -> bool:
    """Return whether a memory that was seen in the new store alone is in the old one, or gone, by now."""
    scope = Scope(record.user_id, None)
    if await old.get(scope, [record.id], now=0):
        return True
    return not await new.get(scope, [record.id], now=0)
