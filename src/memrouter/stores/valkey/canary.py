"""Proof that a memory which is written is also found: a write, a search and a delete on the real path."""

import asyncio
import logging
import random
from typing import Final

import numpy as np

from memrouter.errors import StoreUnavailable
from memrouter.models.memory import MemoryType, Source, Vector, unit
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.errors import ServerRefused
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.rows import NEVER
from memrouter.stores.valkey.scripts import Arg, LuaScript

logger = logging.getLogger(__name__)

LIFETIME_MS: Final = 60_000
"""After this the server removes a canary itself, should its router have died."""

PAUSES: Final = (0.0, 0.01, 0.03, 0.1, 0.3, 0.5)
"""Seconds before each search: an index may take in a script's writes a moment later."""

_CLUSTER_HINT: Final = (
    ". In a cluster the Search module has to search every node: run valkey-search on each of them with "
    "--use-coordinator yes"
)

# KEYS: the canary. ARGV: lifetime in milliseconds, then fields and values. In one step, so that none outlives it.
_WRITE: Final = LuaScript("""
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
""")


class Canary:
    """Tries one index on one server; several routers may try at once.

    It has an owner that no user can have: owner digests are hex digits only, this one has other letters.

    Args:
        connection: Runs the commands.
        index: ``ensure`` must have succeeded once.
        rng: Gives each try a name and a vector of its own.
    """

    def __init__(self, connection: Connection, index: SearchIndex, *, rng: random.Random) -> None:
        self._connection = connection
        self._index = index
        self._rng = rng

    async def check(self) -> None:
        """Look at the index, make it if it is gone, and try it.

        Raises:
            SchemaMismatch: Somebody put another index in its place.
            StoreUnavailable: Memories cannot be stored and found, or the index is still being filled.
        """
        state = await self._index.recreate_if_missing()
        await self.sing()
        if state.trouble:
            raise StoreUnavailable(state.trouble)

    async def sing(self) -> None:
        """Write, find and delete one row.

        Raises:
            StoreUnavailable: The server takes no writes, does not find what it took, or finds it still when it is gone.
        """
        name = f"canary{self._rng.getrandbits(64):016x}"
        key = f"{self._index.schema.prefix}{{{name}}}:canary"
        vector = unit(np.array([self._rng.gauss(0, 1) for _ in range(self._index.schema.dimension)]))
        try:
            await self._connection.script(_WRITE, [key], [LIFETIME_MS, *_fields(name, vector)])
            found = await self._seen(name, key, vector, wanted=True)
        finally:
            await self._connection.run(["UNLINK", key])
        if not found:
            raise StoreUnavailable(
                f"Valkey at {self._connection.place} takes memories and does not find them through index "
                f"{self._index.schema.name}: see its state with memrouter index info; if it is not being filled, run: "
                f"memrouter index rebuild{_CLUSTER_HINT if self._connection.cluster else ''}"
            )
        if await self._seen(name, key, vector, wanted=False):
            raise StoreUnavailable(
                f"Valkey at {self._connection.place} still finds what was deleted through index "
                f"{self._index.schema.name}; run: memrouter index rebuild"
            )

    async def sing_unless_full(self) -> None:
        """As ``sing``; a server at ``maxmemory`` is taken as it is, since it still reads, and must be able to remove.

        Raises:
            StoreUnavailable: As for ``sing``, but for a server that is full.
        """
        try:
            await self.sing()
        except ServerRefused as error:
            if not error.full:
                raise
            logger.warning("%s; memories are read and removed until then", error)

    async def _seen(self, name: str, key: str, vector: Vector, *, wanted: bool) -> bool:
        """Return whether the index has the row, given time to come to the wanted answer."""
        seen = not wanted
        for pause in PAUSES:
            await asyncio.sleep(pause)
            seen = await self._search(name, key, vector)
            if seen == wanted:
                break
        return seen

    async def _search(self, name: str, key: str, vector: Vector) -> bool:
        field = "user_id" if self._index.state.legacy else "owner"
        query = f"(@{field}:{{{name}}})=>[KNN 1 @embedding $vector AS distance]"
        command: list[Arg] = [
            "FT.SEARCH", self._index.schema.name, query, "PARAMS", 2, "vector", vector.astype("<f4").tobytes(),
            "RETURN", 1, "id", "LIMIT", 0, 1, "DIALECT", 2,
        ]  # fmt: skip
        try:
            reply = await self._connection.run(command, beside=key)
        except ServerRefused as error:
            if not error.index_missing:
                raise
            await self._index.recreate_if_missing()
            return False
        return any(isinstance(part, dict) and key.encode() in part for part in reply)


def _fields(name: str, vector: Vector) -> list[str | bytes]:
    """Return the fields of a canary; content is empty, so that no reader takes it for a memory."""
    return [
        "id", "canary", "owner", name, "scope", name, "user_id", name, "project_id", "default",
        "memory_type", MemoryType.SEMANTIC.value, "source", Source.API.value, "content", "",
        "created_at", "0", "updated_at", "0", "live_until", str(NEVER), "importance", "0",
        "embedding", vector.astype("<f4").tobytes(),
    ]  # fmt: skip
