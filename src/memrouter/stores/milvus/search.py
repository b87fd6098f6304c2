"""The candidates for one retrieval: an owner whole, or the nearest vectors joined with the newest word matches."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from memrouter.models.memory import MemoryRecord, Scope, Vector
from memrouter.stores.milvus.collection import Collection
from memrouter.stores.milvus.connection import Connection, Row
from memrouter.stores.milvus.expressions import one_of
from memrouter.stores.milvus.reader import CONTENT, EVERYTHING, OwnerReader, by_id, covered
from memrouter.stores.query import ALL_TYPES, Candidates, StoreQuery
from memrouter.stores.vectors import to_bytes
from memrouter.stores.whole import candidates, newest_first, ranked
from memrouter.stores.word_matcher import WordMatcher

MOST_HITS: Final = 16_384
"""Most hits that a server gives for one search."""

SPARE: Final = 32
"""Hits asked for beyond those that are wanted: some may be expired, superseded or old versions."""

WHOLE_FACTOR: Final = 2
"""A scope with more entities than this many times the scan limit is not read whole: so many cannot be old versions."""

LOOKS: Final = 8
"""How often the candidates are looked for anew where the owner was written to meanwhile."""

TIE: Final = 1e-5
"""Scores as near as this may come in another order from the server."""


class Search:
    """The searches of one store.

    Args:
        connection: Runs the vector searches.
        collection: Where to search.
        reader: Reads owners.
        dimension: Length of the store's vectors.
    """

    def __init__(self, connection: Connection, collection: Collection, reader: OwnerReader, *, dimension: int) -> None:
        self._connection = connection
        self._collection = collection
        self._reader = reader
        self._dimension = dimension

    async def __call__(self, scope: Scope, query: StoreQuery) -> Candidates:
        """See ``MemoryStore.search``."""
        if query.vector is not None:
            to_bytes(query.vector, dimension=self._dimension)
        generation, size = await self._outline(scope, query)
        if query.known_generation == generation:
            return Candidates(records=None, scores=None, complete=False, generation=generation)
        if size > query.scan_limit * WHOLE_FACTOR:
            return await self._best(scope, query, generation)
        return await self._all(scope, query)

    async def _outline(self, scope: Scope, query: StoreQuery) -> tuple[int, int]:
        """Return an owner's generation and about how many visible memories the scope has."""
        if not query.scan_limit:
            return await self._reader.generation(scope.user_id), 1
        return await asyncio.gather(self._reader.generation(scope.user_id), self._reader.size(scope, query.now))

    async def _all(self, scope: Scope, query: StoreQuery) -> Candidates:
        """Return the answer from one state of everything that a scope has."""
        state = await self._reader.whole(scope.user_id, more=EVERYTHING)
        return await asyncio.to_thread(self._of_all, covered(state, scope), query, state.generation)

    def _of_all(self, records: Sequence[MemoryRecord], query: StoreQuery, generation: int) -> Candidates:
        """Return the answer from everything that a scope has."""
        wanted = _visible(records, query)
        complete = sum(record.visible(query.now) for record in records) <= query.scan_limit
        if not complete:
            wanted = [*_nearest(wanted, query), *_holding_words(wanted, query)]
        return candidates(wanted, query.vector, complete=complete, generation=generation)

    async def _best(self, scope: Scope, query: StoreQuery, generation: int) -> Candidates:
        """Return the answer for an owner that is too large to be read whole, unless it changes without a pause."""
        for _ in range(LOOKS):
            # What is written meanwhile makes the answer newer than its generation says, never older.
            generation, wordy = await self._wordy_ids(scope, query, generation)
            near = await self._near_ids(scope, query)
            state = await self._reader.some(scope.user_id, [*near, *wordy])
            now_at = state.generation or await self._reader.generation(scope.user_id)  # 0: no id was asked for
            if now_at in (generation, 0) and not state.ahead:  # 0: nobody but a Go router wrote
                break
            generation = now_at
        else:
            return await self._all(scope, query)  # the answer is to show one state
        found = by_id(_visible(covered(state, scope), query))
        best = _nearest([found[memory_id] for memory_id in near if memory_id in found], query)
        chosen = [*best, *(found[memory_id] for memory_id in wordy if memory_id in found)]
        return await asyncio.to_thread(candidates, chosen, query.vector, complete=False, generation=generation)

    async def _near_ids(self, scope: Scope, query: StoreQuery) -> list[str]:
        """Return the ids of the ``k`` nearest memories, asking for more until they are certain."""
        vector, limit = query.vector, min(query.k + SPARE, MOST_HITS)
        if vector is None or not query.where.types or query.where.sources == frozenset():
            return []
        while True:
            hits = await self._hits(scope, query, vector, limit)
            scores = {str(row[self._collection.layout.key]): self._score(distance) for distance, row in hits}
            state = (await self._reader.resolved([row for _, row in hits], [scope.user_id]))[scope.user_id]
            shown = set(by_id(_visible(covered(state, scope), query)))
            live = sorted((scores[held.key], name) for name, held in state.memories.items() if name in shown)
            floor = live[-query.k][0] - TIE if len(live) >= query.k else -1.0
            if len(hits) < limit or limit == MOST_HITS or min(scores.values()) < floor:
                return [name for score, name in live if score >= floor]
            limit = min(limit * 4, MOST_HITS)

    async def _hits(self, scope: Scope, query: StoreQuery, vector: Vector, limit: int) -> list[tuple[float, Row]]:
        fields = self._collection.layout.fields
        expression = self._expression(scope, query)
        return await self._connection.search(
            self._collection.name, vector.tolist(), expression, fields, limit=limit, ef=limit
        )

    async def _wordy_ids(self, scope: Scope, query: StoreQuery, generation: int) -> tuple[int, list[str]]:
        """Return the generation and the ids of the ``k`` newest memories that hold any of the words."""
        if not WordMatcher(query.words):
            return generation, []
        state = await self._reader.whole(scope.user_id, more=CONTENT)
        visible = _visible(covered(state, scope), query)
        return state.generation, [record.id for record in await asyncio.to_thread(_holding_words, visible, query)]

    def _expression(self, scope: Scope, query: StoreQuery) -> str:
        """Return what the server can tell of the query; everything is looked at again in what it finds."""
        parts = [self._reader.in_scope(scope, query.now)]
        if not self._collection.layout.own:  # a type or source that we do not know counts as another one
            return parts[0]
        if query.where.types != ALL_TYPES:
            parts.append(one_of("memory_type", sorted(query.where.types)))
        if query.where.sources is not None:
            parts.append(one_of("source", sorted(query.where.sources)))
        return " and ".join(parts)

    def _score(self, distance: float) -> float:
        """Return the score behind what the server's metric says."""
        if self._collection.layout.metric == "L2":
            return 1 - distance / 4
        return (1 + distance) / 2


def _visible(records: Iterable[MemoryRecord], query: StoreQuery) -> list[MemoryRecord]:
    return [record for record in records if record.visible(query.now) and query.where.holds(record)]


def _nearest(records: Sequence[MemoryRecord], query: StoreQuery) -> list[MemoryRecord]:
    if query.vector is None:
        return []
    return ranked(records, query.vector)[0][: query.k]


def _holding_words(records: Sequence[MemoryRecord], query: StoreQuery) -> list[MemoryRecord]:
    """Return the ``k`` newest memories that hold any of the words."""
    matcher = WordMatcher(query.words)
    found: list[MemoryRecord] = []
    for record in newest_first(records) if matcher else ():
        if matcher.matches(record.content):
            found.append(record)
            if len(found) == query.k:
                break
    return found
