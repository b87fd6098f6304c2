"""Erasing memories with a receipt."""

import hashlib
from dataclasses import dataclass

from memrouter.models.memory import MemoryType, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import Filter, ScanQuery


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of an erasure that tells nothing about what was erased.

    Attributes:
        count: How many memories.
        erased_at: When, in milliseconds since the epoch.
        sha256: Over their ids, sorted, each followed by a line end; 64 hex digits.
    """

    count: int
    erased_at: int
    sha256: str


async def erase(store: MemoryStore, scope: Scope, types: frozenset[MemoryType], *, now: int) -> Receipt:
    """Remove all memories of a scope and of these types, superseded and expired ones too.

    Each is removed by its id, so that one which is written meanwhile is either on the receipt or still there. Memory
    grows by the ids alone.

    Args:
        store: Where from.
        scope: Whose.
        types: Of which types.
        now: Milliseconds since the epoch.

    Raises:
        StoreUnavailable: The store failed; some may be gone already.
    """
    erased: set[str] = set()
    async for page in store.scan(ScanQuery(user_id=scope.user_id, where=Filter(types=types))):
        ids = frozenset(record.id for record in page.records if scope.covers(record))
        if ids:
            await store.delete(scope, Filter(ids=ids))
            erased |= ids
    lines = "".join(f"{memory_id}\n" for memory_id in sorted(erased))
    return Receipt(len(erased), now, hashlib.sha256(lines.encode()).hexdigest())
