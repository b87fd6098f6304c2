"""What the parts of the contract share."""

import pytest

from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import EVERYTHING, Filter, ListQuery, StoreQuery
from memrouter.testing.records import NOW, RecordFactory

LATER = NOW + 1_000_000
"""A time after every memory of a test was made."""

ALICE = Scope("alice")


class ContractBase:
    """Gives the tests their record factory."""

    @pytest.fixture
    def make(self, store: MemoryStore) -> RecordFactory:
        """Return a factory of memories that fit the store."""
        return RecordFactory(store.capabilities)

    @pytest.fixture
    async def neighbour(self, store: MemoryStore) -> MemoryStore:
        """Return another instance over the same data, where the suite of a store has one."""
        return store


async def listed(store: MemoryStore, scope: Scope = ALICE, *, where: Filter = EVERYTHING) -> list[MemoryRecord]:
    """Return all visible memories of a scope, newest first."""
    return list((await store.list(scope, ListQuery(limit=10_000, now=LATER, where=where))).records)


async def listed_ids(store: MemoryStore, scope: Scope = ALICE, *, where: Filter = EVERYTHING) -> list[str]:
    """Return the ids of all visible memories of a scope, newest first."""
    return ids(await listed(store, scope, where=where))


async def generation(store: MemoryStore, scope: Scope = ALICE) -> int:
    """Return the generation number of a scope's owner."""
    return (await store.search(scope, StoreQuery(vector=None, k=1, now=LATER))).generation


def ids(records: list[MemoryRecord]) -> list[str]:
    """Return the ids of memories, in their order."""
    return [record.id for record in records]


def holds(where: Filter, record: MemoryRecord) -> bool:
    """Return whether a memory is one that a filter names, by the words of ``Filter`` and not by its code."""
    return (
        (where.ids is None or record.id in where.ids)
        and record.type in where.types
        and (where.sources is None or record.source in where.sources)
        and where.conversation_id in (None, record.conversation_id)
    )
