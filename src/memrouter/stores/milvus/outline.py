"""What two collections hold, compared without reading a vector, and without a text where there is a digest."""

import asyncio
from collections.abc import Collection as Group
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from memrouter.models.memory import MemoryRecord
from memrouter.stores.milvus.collection import Collection
from memrouter.stores.milvus.connection import Connection, Row
from memrouter.stores.milvus.expressions import ACCESS, GENERATION, meta_user, one_of
from memrouter.stores.milvus.reader import CONTENT, IDS_AT_ONCE, OwnerReader
from memrouter.stores.milvus.rows import digest_of
from memrouter.stores.milvus.scan import Scan
from memrouter.stores.milvus.state import OwnerState

_APART: Final = frozenset({"content", "embedding", "embedding_model"})


@dataclass(frozen=True, slots=True)
class Outline:
    """What an owner has in one collection.

    Attributes:
        records: The memories by id; their vectors and, but for a collection of the Go router, texts are left out.
        digests: Digests of their texts by id.
        mark: Changes with every change of the owner.
    """

    records: Mapping[str, MemoryRecord]
    digests: Mapping[str, str]
    mark: frozenset[str]


@dataclass(frozen=True, slots=True)
class Difference:
    """What is to be done with a copy of an owner's memories, by id.

    Attributes:
        embed: Absent from the copy, or with another text.
        refresh: Of the same text and with other fields.
        remove: In the copy alone.
    """

    embed: frozenset[str]
    refresh: frozenset[str]
    remove: frozenset[str]

    def __bool__(self) -> bool:
        """Return whether anything is to be done."""
        return bool(self.embed or self.refresh or self.remove)


def difference(old: Outline, copy: Outline) -> Difference:
    """Return what makes a copy like the old one."""
    same = {name for name, digest in old.digests.items() if copy.digests.get(name) == digest}
    return Difference(
        embed=frozenset(old.records.keys() - same),
        refresh=frozenset(name for name in same if _rest(old.records[name]) != _rest(copy.records[name])),
        remove=frozenset(copy.records.keys() - old.records.keys()),
    )


class Side:
    """One of the two collections.

    Args:
        connection: Runs the queries.
        collection: What to read.
        model: Whose vectors it keeps.
    """

    def __init__(self, connection: Connection, collection: Collection, *, model: str) -> None:
        self._connection = connection
        self._name, self._layout = collection.name, collection.layout
        self._reader = OwnerReader(connection, collection, embedding_model=model)
        self._scan = Scan(connection, collection, self._reader)

    @property
    def marked(self) -> bool:
        """Return whether everybody who writes leaves a mark; a Go router does not."""
        return self._layout.own

    async def users(self) -> list[str]:
        """Return everybody who has a memory."""
        return await self._scan.users()

    async def count(self) -> int:
        """Return how many memories there are."""
        return await self._scan.count(None)

    async def settle(self) -> None:
        """Wait until the server shows everything that was written before."""
        await self._connection.query(self._name, one_of(self._layout.key, ["~"]), [self._layout.key], level="Strong")

    async def marks(self, users: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return the marks of some owners."""
        expression = f"{one_of('user_id', map(meta_user, users))} and {one_of('memory_type', [GENERATION, ACCESS])}"
        rows = await self._connection.query(self._name, expression, [self._layout.key, "user_id"])
        found: dict[str, set[str]] = {}
        for row in rows:
            found.setdefault(str(row["user_id"]), set()).add(str(row[self._layout.key]))
        return {user: frozenset(found.get(meta_user(user), ())) for user in users}

    async def outlines(self, users: Sequence[str]) -> dict[str, Outline]:
        """Return what some owners have, no change half."""
        found, torn = await self._outlines(users, strong=False)
        if torn:
            found |= (await self._outlines(torn, strong=True))[0]
        return found

    async def records(self, user: str, ids: Group[str], *, more: Sequence[str] = CONTENT) -> list[MemoryRecord]:
        """Return some of an owner's memories, those that are there still.

        Args:
            user: The owner.
            ids: Which.
            more: What to read beside the small fields.
        """
        records = (await self._reader.some(user, ids, more=more)).records()
        return [record for record in records if record.id in ids]

    async def _outlines(self, users: Sequence[str], *, strong: bool) -> tuple[dict[str, Outline], list[str]]:
        more = ("digest",) if self._layout.own else CONTENT
        rows = await self._reader.rows(users, more=more, level="Strong" if strong else "Eventually")
        states = await self._reader.resolved(rows, users)
        found = await asyncio.to_thread(self._outlined, rows, states)
        return found, [user for user, state in states.items() if state.torn]

    def _outlined(self, rows: Iterable[Row], states: Mapping[str, OwnerState]) -> dict[str, Outline]:
        texts = {str(row[self._layout.key]): str(row["digest" if self._layout.own else "content"]) for row in rows}
        return {user: self._outline(state, texts) for user, state in states.items()}

    def _outline(self, state: OwnerState, texts: Mapping[str, str]) -> Outline:
        own = self._layout.own
        digests = {
            name: texts[held.key] if own else digest_of(texts[held.key]) for name, held in state.memories.items()
        }
        buckets = (key for keys in state.buckets.values() for key in keys)
        return Outline(
            records={record.id: record for record in state.records()},
            digests=digests,
            mark=frozenset([*state.generations, *buckets]),
        )


def pieces(ids: Iterable[str]) -> list[frozenset[str]]:
    """Return ids in parts that one expression can hold."""
    each = sorted(ids)
    return [frozenset(each[first : first + IDS_AT_ONCE]) for first in range(0, len(each), IDS_AT_ONCE)]


def _rest(record: MemoryRecord) -> dict[str, object]:
    """Return everything of a memory but its text and its vector."""
    return {name: getattr(record, name) for name in record.__struct_fields__ if name not in _APART}
