"""Reads by id, in pages and in figures."""

from collections.abc import Sequence

from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.milvus.reader import CONTENT, EVERYTHING, OwnerReader, by_id, covered
from memrouter.stores.query import ListQuery, Page, ScopeStats
from memrouter.stores.whole import page_of, stats_of


class Reads:
    """The reads of one store.

    Args:
        reader: Reads owners.
    """

    def __init__(self, reader: OwnerReader) -> None:
        self._reader = reader

    async def get(self, scope: Scope, ids: Sequence[str], now: int) -> list[MemoryRecord]:
        """See ``MemoryStore.get``."""
        if not ids:
            return []
        found = by_id(covered(await self._reader.some(scope.user_id, ids), scope))
        kept = [found[memory_id] for memory_id in dict.fromkeys(ids) if memory_id in found]
        return [record for record in kept if record.living(now)]

    async def page(self, scope: Scope, query: ListQuery) -> Page:
        """See ``MemoryStore.list``; which memories are shown is found without reading their texts and vectors.

        Where somebody wrote meanwhile, everything is read in one query, so that the page shows one state.
        """
        state = await self._reader.whole(scope.user_id)
        outline = page_of(covered(state, scope), query)
        if not outline.records:
            return outline
        ids = [record.id for record in outline.records]
        chosen = await self._reader.some(scope.user_id, ids)
        found = by_id(covered(chosen, scope))
        if chosen.generation != state.generation or not found.keys() >= set(ids):
            return page_of(covered(await self._reader.whole(scope.user_id, more=EVERYTHING), scope), query)
        return Page(records=[found[memory_id] for memory_id in ids], total=outline.total, next=outline.next)

    async def stats(self, scope: Scope, now: int) -> ScopeStats:
        """See ``MemoryStore.stats``."""
        return stats_of(covered(await self._reader.whole(scope.user_id, more=CONTENT), scope), now=now)
