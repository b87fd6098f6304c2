"""Proof that a memory which is written is also found: an insert, a search and a deletion on the real path."""

import random

import numpy as np

from memrouter.errors import StoreUnavailable
from memrouter.models.memory import MemoryRecord, unit
from memrouter.stores.milvus.collection import Collection
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.expressions import META_TYPES, one_of, quoted
from memrouter.stores.milvus.rows import Held, memory_row, new_key


class Canary:
    """Tries one collection; several routers may try at once.

    It has a user id and a type that no memory has: those of an owner's other entities.

    Args:
        connection: Runs the calls.
        collection: What to try.
        rng: Gives each try a name and a vector of its own.
    """

    def __init__(self, connection: Connection, collection: Collection, *, rng: random.Random) -> None:
        self._connection = connection
        self._collection = collection
        self._rng = rng

    async def sing(self) -> None:
        """Write, find and delete one entity.

        Raises:
            StoreUnavailable: The server takes no writes, or does not find what it took.
        """
        name, layout = self._collection.name, self._collection.layout
        nonce = f"{self._rng.getrandbits(64):016x}"
        vector = unit(np.array([self._rng.gauss(0, 1) for _ in range(layout.dimension)]))
        user = f"~canary{nonce}"
        record = MemoryRecord(
            id="canary", user_id=user, content="", embedding=vector, embedding_model="", created_at=0, updated_at=0
        )
        key = new_key(record.id, user, nonce, layout)
        row = memory_row(Held(record, key, nonce, 1, nonce, 0), layout) | {"memory_type": META_TYPES[0]}
        mine = one_of(layout.key, [key])
        try:
            await self._connection.insert(name, [row])
            await self._connection.query(name, mine, [layout.key], level="Strong")
            hits = await self._connection.search(
                name,
                vector.tolist(),
                f"memory_type == {quoted(META_TYPES[0])} and {mine}",
                [layout.key],
                limit=1,
                ef=16,
            )
        finally:
            await self._connection.delete(name, mine)
        if not hits:
            raise StoreUnavailable(
                f"Milvus at {self._connection.place} takes memories and does not find them in collection {name}; see "
                "whether it is loaded and its index is finished"
            )
