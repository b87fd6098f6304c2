"""Reads by id, in pages and in figures: by scripts on the owner's slot, without the index."""

from collections import Counter
from collections.abc import Sequence

from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source
from memrouter.stores.query import EVERYTHING, Filter, ListQuery, Page, ScopeStats
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.legacy import Untagged
from memrouter.stores.valkey.reader import RowReader
from memrouter.stores.valkey.scripts import GET, LIST, STATS, Arg
from memrouter.stores.valkey.selection import listed, selection, storable
from memrouter.stores.valkey.walk import Walker
from memrouter.stores.whole import NO_STATS, page, page_of, stats_of

STEP = 2000
"""Memories that one script looks at for a page or for figures: some 10 ms of the server's time at most.

An owner of this size or less, which is what the limit per user makes of all, is answered by one script: one state.
"""

_PART = 500


class Reads:
    """The reads of one store.

    Args:
        connection: Runs the scripts.
        keys: Names the keys.
        index: Tells whether there are memories of the Go router.
        reader: Reads the rows.
        walker: Reads owners whole.
        untagged: Memories of the Go router.
    """

    def __init__(
        self,
        connection: Connection,
        keys: Keys,
        index: SearchIndex,
        *,
        reader: RowReader,
        walker: Walker,
        untagged: Untagged,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._index = index
        self._reader = reader
        self._walker = walker
        self._untagged = untagged

    async def get(self, scope: Scope, ids: Sequence[str], now: int) -> list[MemoryRecord]:
        """See ``MemoryStore.get``; memories that a Go router wrote are found too."""
        wanted = storable(ids)
        found = {record.id: record for record in await self.tagged(scope, wanted)}
        missing = [memory_id for memory_id in wanted if memory_id not in found]
        if missing:
            found |= {record.id: record for record in await self._untagged.get(scope, missing)}
        missing = [memory_id for memory_id in missing if memory_id not in found]
        if missing:
            # A rebuild may have moved one to a key of its own between the two reads.
            found |= {record.id: record for record in await self.tagged(scope, missing)}
        living = {key: record for key, record in found.items() if record.living(now)}
        return [living[memory_id] for memory_id in wanted if memory_id in living]

    async def tagged(self, scope: Scope, ids: Sequence[str]) -> list[MemoryRecord]:
        """Return the scope's memories with these ids that stand under its user's own keys, hidden ones included."""
        owner = self._keys.of_scope(scope)
        records: list[MemoryRecord] = []
        for first in range(0, len(ids), _PART):
            part = ids[first : first + _PART]
            names = [owner.memory(memory_id) for memory_id in part]
            rows, access = await self._connection.script(GET, [owner.access, *names], part)
            records += await self._reader.records(scope, rows, access)
        return records

    async def page(self, scope: Scope, query: ListQuery) -> Page:
        """See ``MemoryStore.list``."""
        if self._index.state.legacy or query.where.ids is not None:
            return page_of(await self.everything(scope, query.where, now=query.now), query)
        owner = self._keys.of_scope(scope)
        chosen = selection(owner.base, scope, query.where, now=query.now, show=listed(query))
        after: list[Arg] = ["", ""] if query.after is None else [query.after.created_at, query.after.id]
        records: list[MemoryRecord] = []
        last, created, looked, total = b"", b"0", STEP, 0
        while looked == STEP:
            room = query.limit + 1 - len(records)
            last, created, looked, number, rows, access = await self._connection.script(
                LIST, [owner.ids, owner.access], [*chosen, last, created, STEP, room, *after]
            )
            total += number
            records += await self._reader.records(scope, rows, access)
        return page(records, query, total=total)

    async def everything(self, scope: Scope, where: Filter, *, now: int) -> list[MemoryRecord]:
        """Return all of a scope's memories that may match, hidden ones and those of the Go router included, each once.

        The Go router's are read first: a rebuild moves them away from there, never back, so that none is missed. What
        stands under a key of its own too counts as it is there.
        """
        if where.ids is not None:
            wanted = storable(where.ids)
            records = [*await self._untagged.get(scope, wanted), *await self.tagged(scope, wanted)]
        else:
            records = await self._untagged.of(scope) if self._index.state.legacy else []
            async for part in self._walker.walk(scope, EVERYTHING, now=now, show="any"):
                records += part
        return list({record.id: record for record in records}.values())

    async def stats(self, scope: Scope, now: int) -> ScopeStats:
        """See ``MemoryStore.stats``."""
        if self._index.state.legacy:
            return stats_of(await self.everything(scope, EVERYTHING, now=now), now=now)
        owner = self._keys.of_scope(scope)
        chosen = selection(owner.base, scope, EVERYTHING, now=now, show="visible")
        by_type: Counter[MemoryType] = Counter()
        by_source: Counter[Source] = Counter()
        times: list[bytes] = []
        last, created, looked, size = b"", b"0", STEP, 0
        while looked == STEP:
            last, created, looked, counts, part, *ends = await self._connection.script(
                STATS, [owner.ids], [*chosen, last, created, STEP]
            )
            size += part
            times += [end for end in ends if end is not None]
            for name, number in zip(counts[::2], counts[1::2], strict=True):
                kind, _, source = name.decode().partition(",")
                by_type[MemoryType(kind)] += number
                by_source[Source(source)] += number
        if not times:
            return NO_STATS
        return ScopeStats(
            total=by_type.total(),
            by_type=dict(by_type),
            by_source=dict(by_source),
            content_bytes=size,
            oldest=min(int(float(end)) for end in times),
            newest=max(int(float(end)) for end in times),
        )
