"""Reads what is kept and bears on new memories: few reads for few of them, the owner whole for many."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from memrouter.memory.storing.deposit import Kept
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import NOTHING_HELD, Filter, ListQuery, StoreQuery

FEW: Final = 16
"""Up to so many new memories, the nearest ones of each are read; beyond, the owner whole."""
NEAREST: Final = 16
SMALL_OWNER: Final = 64
"""An owner with so many memories is read whole in any case."""
LARGE_OWNER: Final = 20_000
"""Largest owner that is read whole for many new memories."""
MAX_QUARANTINED: Final = 200
"""Most memories that are kept apart for one project of a user; past them the oldest are deleted."""

_PAGE: Final = 500
_PAGES: Final = 8


async def read_kept(
    store: MemoryStore,
    scope: Scope,
    records: Sequence[MemoryRecord],
    *,
    unique: bool,
    again: bool,
    replayed: Collection[str],
    now: int,
) -> Kept:
    """Return what is kept and bears on new memories.

    Args:
        store: Where.
        scope: One project of one user.
        records: The new memories, of this scope.
        unique: Whether twins matter; if not, only quarantined ones do.
        again: Whether the write of these very memories was tried before.
        replayed: Conversations that may be replayed, so that superseded memories of theirs matter.
        now: Milliseconds since the epoch.
    """
    ids = [record.id for record in records]
    visible, apart, replaced, there = await asyncio.gather(
        _visible(store, scope, records, now) if unique else _none(),
        _apart(store, scope, now) if any(record.quarantine for record in records) else _none(),
        _replaced(store, scope, replayed, now),
        store.get(scope, ids, now=0) if again else _none(),
    )
    return Kept(visible, apart, replaced, there)


async def read_suspects(
    store: MemoryStore, scope: Scope, records: Sequence[MemoryRecord], ids: Collection[str], *, now: int
) -> Kept:
    """Return what is kept of the memories that alone may bear on new ones, none of which is to be quarantined.

    Args:
        store: Where.
        scope: One project of one user.
        records: The new memories, of this scope.
        ids: Of memories that may hold what one of them holds.
        now: Milliseconds since the epoch.
    """
    found = await store.get(scope, sorted(ids), now=0) if ids else []
    own = {record.id for record in records}
    return Kept(
        visible=[record for record in found if record.visible(now)],
        replaced=[record for record in found if record.superseded_by is not None and record.living(now)],
        there=[record for record in found if record.id in own],
    )


async def _none() -> Sequence[MemoryRecord]:
    return ()


async def _visible(store: MemoryStore, scope: Scope, records: Sequence[MemoryRecord], now: int) -> list[MemoryRecord]:
    if len(records) > FEW:
        everything = StoreQuery(vector=None, k=1, now=now, scan_limit=LARGE_OWNER, known_generation=NOTHING_HELD)
        whole = await store.search(scope, everything)
        if whole.complete:
            return list(whole.records or ())
    found: list[MemoryRecord] = []
    for record in records:
        near = StoreQuery(
            vector=record.embedding,
            k=NEAREST,
            now=now,
            scan_limit=SMALL_OWNER,
            known_generation=NOTHING_HELD,
        )
        answer = await store.search(scope, near)
        found += answer.records or ()
        if answer.complete:
            break
    return found


async def _apart(store: MemoryStore, scope: Scope, now: int) -> Sequence[MemoryRecord]:
    return (await store.list(scope, ListQuery(limit=MAX_QUARANTINED, now=now, quarantined=True))).records


async def _replaced(store: MemoryStore, scope: Scope, conversations: Collection[str], now: int) -> list[MemoryRecord]:
    """Return the superseded memories of some conversations."""
    found: list[MemoryRecord] = []
    for conversation in conversations:
        where = Filter(conversation_id=conversation)
        query = ListQuery(limit=_PAGE, now=now, where=where, include_superseded=True)
        for _ in range(_PAGES):
            page = await store.list(scope, query)
            found += (record for record in page.records if record.superseded_by is not None)
            if page.next is None:
                break
            query = replace(query, after=page.next)
    return found
