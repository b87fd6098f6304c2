"""The collection in which ``state`` is kept, beside that of the memories; made when something is first written."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from memrouter.stores.milvus.chain import BESIDE
from memrouter.stores.milvus.collection import MAKE_SECONDS
from memrouter.stores.milvus.connection import Connection, Consistency
from memrouter.stores.milvus.expressions import one_of, quoted
from memrouter.stores.milvus.facts import SMALL, Fact, fact_of
from memrouter.stores.milvus.schema import MAX_VARCHAR
from memrouter.stores.state import MAX_NAME_CHARS

if TYPE_CHECKING:
    from pymilvus import CollectionSchema, MilvusClient

SUFFIX: Final = f"{BESIDE}state"
"""Stands behind the configured name. A reindex puts digits there, and looks for a property that this one lacks."""

KEYS_AT_ONCE: Final = 100
"""Entities whose texts are read in one query, or that are removed in one deletion."""

_TEXT: Final = (*SMALL, "text")
_DESCRIPTION: Final = "What routers share beside the memories: leases, switches, keys, marks"
_VARCHARS: Final = {"space": MAX_NAME_CHARS, "name": MAX_NAME_CHARS, "kind": 16, "text": MAX_VARCHAR}


class FactCollection:
    """Reads and writes its entities.

    Attributes:
        longest_call: See ``Connection``.

    Args:
        connection: Runs the calls.
        root: Name or alias under which the memories are looked for.
    """

    def __init__(self, connection: Connection, root: str) -> None:
        self._connection = connection
        self._name = root + SUFFIX
        self._ready = False
        self._making = asyncio.Lock()
        self.longest_call = connection.longest_call

    async def one(self, space: str, name: str, *, level: Consistency = "Eventually", text: bool = False) -> list[Fact]:
        """Return the entities of one entry."""
        where = f"space == {quoted(space)} and name == {quoted(name)}"
        return await self.where(where, level=level, text=text)

    async def where(self, expression: str, *, level: Consistency = "Eventually", text: bool = False) -> list[Fact]:
        """Return the entities for which an expression holds; none where there is no collection."""
        if not await self._opened(make=False):
            return []
        rows = await self._connection.query(self._name, expression, _TEXT if text else SMALL, level=level)
        return [fact_of(row) for row in rows]

    async def texts(self, keys: Sequence[str]) -> list[Fact]:
        """Return the entities with some primary keys, with their texts."""
        return await self.where(one_of("key", keys), text=True)

    async def add(self, facts: Sequence[Fact]) -> None:
        """Add entities; the collection is made where it is not there."""
        await self._opened(make=True)
        await self._connection.insert(self._name, [fact.row() for fact in facts])

    async def shown(self) -> None:
        """Wait until the server shows every reader what was written before."""
        await self._connection.query(self._name, one_of("key", ["~"]), ["key"], level="Strong")

    async def remove(self, keys: Iterable[str]) -> None:
        """Remove entities; reads see that a moment later."""
        each = list(keys)
        for first in range(0, len(each), KEYS_AT_ONCE):
            await self._connection.delete(self._name, one_of("key", each[first : first + KEYS_AT_ONCE]))

    async def _opened(self, *, make: bool) -> bool:
        """Return whether the collection is there and loaded."""
        if self._ready:
            return True
        async with self._making:
            if not self._ready:
                self._ready = await self._connection.administer(
                    lambda client: _open(client, self._name, make=make), seconds=MAKE_SECONDS
                )
        return self._ready


def _open(client: "MilvusClient", name: str, *, make: bool) -> bool:
    from pymilvus.exceptions import MilvusException

    if not client.has_collection(name):
        if not make:
            return False
        try:
            client.create_collection(name, schema=_schema(), num_shards=1, consistency_level="Eventually")
        except MilvusException:
            if not client.has_collection(name):  # else another router was quicker
                raise
    if not client.list_indexes(name, "nothing"):
        index = client.prepare_index_params()
        index.add_index("nothing", index_type="FLAT", metric_type="L2")
        client.create_index(name, index, sync=False)  # which only loading asks for: nothing is looked for by a vector
    client.load_collection(name)
    return True


def _schema() -> "CollectionSchema":
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False, description=_DESCRIPTION)
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=64)
    for name, length in _VARCHARS.items():
        schema.add_field(name, DataType.VARCHAR, max_length=length)
    for name in ("version", "expires_at"):
        schema.add_field(name, DataType.INT64)
    schema.add_field("nothing", DataType.FLOAT_VECTOR, dim=2)  # every collection has to have one
    return schema
