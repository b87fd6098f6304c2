"""Reading owners: their entities as one state."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.milvus.collection import Collection
from memrouter.stores.milvus.connection import Connection, Consistency, Row
from memrouter.stores.milvus.expressions import GENERATION, meta_user, of_owners, one_of, quoted, storable
from memrouter.stores.milvus.schema import names
from memrouter.stores.milvus.state import OwnerState, resolve

INLINE_ROWS: Final = 16
"""Up to this many entities are taken apart in the event loop: under 1 ms."""

IDS_AT_ONCE: Final = 1000
"""Most ids in one expression."""

CONTENT: Final = ("content",)
EVERYTHING: Final = ("content", "embedding")


class OwnerReader:
    """Reads the owners of one collection.

    Args:
        connection: Runs the queries.
        collection: What to read.
        embedding_model: Name of the store's model.
    """

    def __init__(self, connection: Connection, collection: Collection, *, embedding_model: str) -> None:
        self._connection = connection
        self._name = collection.name
        self._layout = collection.layout
        self._model = embedding_model

    async def whole(self, user_id: str, *, more: Sequence[str] = ()) -> OwnerState:
        """Return everything of an owner, no change of it half.

        Args:
            user_id: The owner.
            more: What to read beside the small fields: ``CONTENT`` or ``EVERYTHING``.
        """
        state = (await self.states([user_id], more=more))[user_id]
        if state.torn:
            state = (await self.states([user_id], more=more, level="Strong"))[user_id]
        return state

    async def some(self, user_id: str, ids: Iterable[str], *, more: Sequence[str] = EVERYTHING) -> OwnerState:
        """Return what is known of some of an owner's memories; see ``whole``."""
        wanted = list(dict.fromkeys(memory_id for memory_id in ids if storable(memory_id)))
        rows: list[Row] = []
        for first in range(0, len(wanted), IDS_AT_ONCE):
            part = wanted[first : first + IDS_AT_ONCE]
            rows += await self.rows([user_id], memories=self.with_ids(part), more=more)
            if not self._layout.own:
                break
        return (await self.resolved(rows, [user_id]))[user_id]

    async def states(
        self,
        users: Sequence[str],
        *,
        memories: str = "",
        more: Sequence[str] = (),
        level: Consistency = "Eventually",
        beside: Iterable[Row] = (),
    ) -> dict[str, OwnerState]:
        """Return the state of some owners.

        Args:
            users: The owners.
            memories: What a memory has to fulfil to be read; empty for every memory.
            more: What to read beside the small fields.
            level: What to wait for.
            beside: Entities that were written and may not be seen yet.
        """
        rows = await self.rows(users, memories=memories, more=more, level=level)
        return await self.resolved([*rows, *beside], users)

    async def rows(
        self, users: Sequence[str], *, memories: str = "", more: Sequence[str] = (), level: Consistency = "Eventually"
    ) -> list[Row]:
        """Return the entities of some owners; see ``states``."""
        fields = names(self._layout.fields, *more)
        return await self._connection.query(self._name, of_owners(users, memories=memories), fields, level=level)

    async def resolved(self, rows: Sequence[Row], users: Sequence[str]) -> dict[str, OwnerState]:
        """Return what entities say."""
        if len(rows) <= INLINE_ROWS:
            return resolve(rows, users, self._layout, embedding_model=self._model)
        return await asyncio.to_thread(resolve, rows, users, self._layout, embedding_model=self._model)

    async def generation(self, user_id: str) -> int:
        """Return an owner's generation number."""
        expression = f"user_id == {quoted(meta_user(user_id))} and memory_type == {quoted(GENERATION)}"
        rows = await self._connection.query(self._name, expression, self._layout.fields)
        return resolve(rows, [user_id], self._layout, embedding_model=self._model)[user_id].generation

    async def size(self, scope: Scope, now: int) -> int:
        """Return about how many visible memories a scope has: never too few."""
        rows = await self._connection.query(self._name, self.in_scope(scope, now), ["count(*)"])
        return int(rows[0]["count(*)"])

    def in_scope(self, scope: Scope, now: int) -> str:
        """Return an expression for the visible memories of a scope; it may hold for more of them."""
        parts = [one_of("user_id", [scope.user_id])]
        if self._layout.own:  # in a collection of the Go router these are in the metadata, or nowhere
            parts.append(f"live_until > {now}")
            parts += [] if scope.project_id is None else [f"project_id == {quoted(scope.project_id)}"]
        return " and ".join(parts)

    def with_ids(self, ids: Iterable[str]) -> str:
        """Return an expression for memories with these ids; it may hold for more of them."""
        return one_of("id", ids) if self._layout.own else ""

    def id_parts(self, ids: Sequence[str]) -> list[str]:
        """Return expressions for memories with these ids, each of a size that the server takes."""
        return [self.with_ids(ids[first : first + IDS_AT_ONCE]) for first in range(0, len(ids), IDS_AT_ONCE)]

    def with_digests(self, digests: Iterable[str]) -> str:
        """Return an expression for memories with contents of these digests; it may hold for more of them."""
        return one_of("digest", digests) if self._layout.own else ""


def covered(state: OwnerState, scope: Scope) -> list[MemoryRecord]:
    """Return the memories of a scope, with their access counts."""
    return [record for record in state.records() if scope.covers(record)]


def by_id(records: Iterable[MemoryRecord]) -> Mapping[str, MemoryRecord]:
    """Return memories by their ids."""
    return {record.id: record for record in records}
