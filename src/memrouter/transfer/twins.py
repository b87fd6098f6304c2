"""Which memories of an import their owner has already, under another id."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from memrouter.memory.storing.kept import LARGE_OWNER, NEAREST
from memrouter.models.memory import MemoryRecord, Scope, content_digest
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import NOTHING_HELD, StoreQuery


async def duplicates(store: MemoryStore, records: Sequence[MemoryRecord], *, now: int) -> set[int]:
    """Return the places of visible memories whose owner has a visible one of the same content in the same project.

    A memory whose id is taken is none: it is dealt with by the import's mode. Of several in ``records`` the first one
    is none.

    Args:
        store: The target.
        records: What is to come in, of any owners.
        now: Milliseconds since the epoch.

    Raises:
        StoreUnavailable: The store failed.
    """
    owners: defaultdict[Scope, dict[int, MemoryRecord]] = defaultdict(dict)
    for place, record in enumerate(records):
        if record.visible(now):
            owners[Scope(record.user_id, record.project_id)][place] = record
    found: set[int] = set()
    for scope, own in owners.items():
        found |= await _of(store, scope, own, now)
    return found


async def _of(store: MemoryStore, scope: Scope, own: dict[int, MemoryRecord], now: int) -> set[int]:
    held = {content_digest(record.content): record.id for record in await _held(store, scope, own, now)}
    suspects = {
        place: record
        for place, record in own.items()
        if held.setdefault(content_digest(record.content), record.id) not in (record.id, own_id(record))
    }
    ids = [record.id for record in suspects.values()]
    taken = {there.id for there in await store.get(Scope(scope.user_id, None), ids, now=0)} if ids else set()
    return {place for place, record in suspects.items() if record.id not in taken}


async def _held(store: MemoryStore, scope: Scope, own: dict[int, MemoryRecord], now: int) -> Sequence[MemoryRecord]:
    """Return the owner's visible memories; of a very large owner those that are near the new ones."""
    whole = await store.search(
        scope, StoreQuery(vector=None, k=1, now=now, scan_limit=LARGE_OWNER, known_generation=NOTHING_HELD)
    )
    if whole.complete:
        return whole.records or ()
    near: list[MemoryRecord] = []
    for record in own.values():
        if record.embedding.size:  # a dry run embeds nothing
            query = StoreQuery(vector=record.embedding, k=NEAREST, now=now, known_generation=NOTHING_HELD)
            answer = await store.search(scope, query)
            near += answer.records or ()
    return near


def own_id(record: MemoryRecord) -> str:
    """Return the id that a memory gets where its own is another owner's in the target."""
    name = f"{record.user_id}\0{record.id}"
    return f"mem_{hashlib.sha256(name.encode()).hexdigest()[:32]}"
