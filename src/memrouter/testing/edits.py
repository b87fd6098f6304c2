"""Changes to one memory as the product makes them: read, plan, commit; again where another write came between."""

from random import Random
from typing import Any

from msgspec.structs import replace

from memrouter.memory.storing.edits import OwnerEdits, Plan
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore
from memrouter.testing.records import text_vector


async def edit(store: MemoryStore, scope: Scope, memory_id: str, *, now: int, **changes: Any) -> MemoryRecord | None:
    """Change fields of one memory and return it as it was put; None where the scope has no living one of this id.

    Args:
        store: Where.
        scope: Whose memory.
        memory_id: Its id.
        now: Time of the change in milliseconds since the epoch.
        changes: Fields of the record. New ``content`` without an ``embedding`` gets that of a ``RecordFactory``.

    Raises:
        StoreUnavailable: See ``OwnerEdits.apply``.
        SchemaMismatch: See ``MemoryStore.commit``.
    """
    if "content" in changes:
        changes = {"embedding": text_vector(changes["content"], store.capabilities.dimension)} | changes

    async def plan() -> Plan[MemoryRecord | None]:
        held = await store.get(scope, [memory_id], now=now)
        if not held:
            return Plan(None)
        changed = replace(held[0], updated_at=now, **changes)
        return Plan(changed, put=[changed])

    return await OwnerEdits(store, rng=Random(memory_id)).apply(scope.user_id, plan)
