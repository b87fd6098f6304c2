"""Reading everything that is kept, owner after owner, and counting it."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from memrouter.models.memory import MemoryRecord, owner_key
from memrouter.stores.milvus.collection import Collection
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.expressions import META_TYPES, one_of, quoted
from memrouter.stores.milvus.reader import EVERYTHING, OwnerReader
from memrouter.stores.position import Position
from memrouter.stores.query import ScanPage, ScanQuery

ROWS_AT_ONCE: Final = 5000
"""Entities whose users are read in one query."""

OWNERS_AT_ONCE: Final = 50
"""Owners whose small fields are read in one query."""

_BACKEND: Final = "milvus"
_MEMORIES: Final = f"not ({one_of('memory_type', META_TYPES)})"


class Scan:
    """The scans of one store.

    In memory are the user ids, about 200 bytes each, and the small fields of some owners' memories.

    Args:
        connection: Runs the queries.
        collection: What to read.
        reader: Reads owners.
    """

    def __init__(self, connection: Connection, collection: Collection, reader: OwnerReader) -> None:
        self._connection = connection
        self._collection = collection
        self._reader = reader

    async def pages(self, query: ScanQuery) -> AsyncIterator[ScanPage]:
        """See ``MemoryStore.scan``; owners whose memories fit a page together share one."""
        after = None if query.after is None else Position.decode(query.after, backend=_BACKEND)
        users = await self.users() if query.user_id is None else [query.user_id]
        users = sorted(users, key=owner_key)
        if after is not None:
            users = [user for user in users if owner_key(user) >= after.owner]
        for first in range(0, len(users), OWNERS_AT_ONCE):
            outline = await self._outline(users[first : first + OWNERS_AT_ONCE], query, after)
            for start in range(0, len(outline), query.page):
                page = await self._page(outline[start : start + query.page], query)
                if page is not None:
                    yield page

    async def count(self, user_id: str | None) -> int:
        """See ``MemoryStore.count``."""
        if user_id is not None:
            return len((await self._reader.whole(user_id)).memories)
        users, total = await self.users(), 0
        for first in range(0, len(users), OWNERS_AT_ONCE):
            states = await self._reader.states(users[first : first + OWNERS_AT_ONCE])
            total += sum(len(state.memories) for state in states.values())
        return total

    async def _outline(
        self, users: Sequence[str], query: ScanQuery, after: Position | None
    ) -> list[tuple[Position, str]]:
        """Return where the memories of some owners stand, in the order of the scan, and whose they are."""
        states = await self._reader.states(users)
        found = [
            (_position(held.record), held.record.user_id)
            for state in states.values()
            for held in state.memories.values()
            if query.where.holds(held.record)
        ]
        return sorted(place for place in found if after is None or place[0] > after)

    async def _page(self, outline: Sequence[tuple[Position, str]], query: ScanQuery) -> ScanPage | None:
        """Return the memories that stand at some positions; None where all are gone."""
        users = list(dict.fromkeys(user for _, user in outline))
        wanted = {(user, position.id) for position, user in outline}
        part = self._reader.with_ids({position.id for position, _ in outline})
        states = await self._reader.states(users, memories=part, more=EVERYTHING)
        records = [
            record
            for user, state in states.items()
            for record in state.records()
            if (user, record.id) in wanted and query.where.holds(record)
        ]
        if not records:
            return None
        records.sort(key=_position)
        return ScanPage(records=records, position=_position(records[-1]).encode(backend=_BACKEND))

    async def users(self) -> list[str]:
        """Return everybody who has a memory."""
        key, users, last = self._collection.layout.key, set[str](), ""
        while True:
            more = f" and {key} > {quoted(last)}" if last else ""
            limit = None if self._connection.local else ROWS_AT_ONCE  # Milvus Lite gives no order to go on in
            rows = await self._connection.query(
                self._collection.name, f"{_MEMORIES}{more}", [key, "user_id"], limit=limit
            )
            users |= {str(row["user_id"]) for row in rows}
            if limit is None or len(rows) < limit:
                return list(users)
            last = str(rows[-1][key])


def _position(record: MemoryRecord) -> Position:
    return Position(owner_key(record.user_id), record.created_at, record.id)
