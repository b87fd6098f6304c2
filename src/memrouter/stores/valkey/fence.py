"""Keeps the vectors of a router out of a store that was reindexed meanwhile, and tells that router so."""

from collections.abc import Sequence
from typing import Any

from memrouter.stores.embedding_space import EmbeddingSpace, check_still_kept, check_writable
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.errors import ServerRefused
from memrouter.stores.valkey.index_info import as_mapping
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.scripts import Arg, LuaScript, ScriptCall


class Fence:
    """Runs the scripts that write vectors, which begin with ``FENCE``.

    On one server the script itself looks whose vectors are kept, in the same atomic step. In a cluster that stands on
    another node than the memories: there it is asked first, which costs a round trip.

    Args:
        connection: Runs the scripts.
        keys: Names the keys.
        space: Of the router's vectors.
    """

    def __init__(self, connection: Connection, keys: Keys, *, space: EmbeddingSpace) -> None:
        self._connection = connection
        self._meta = keys.meta
        self._space = space
        self._place = f"Valkey at {connection.place}"

    async def script(self, script: LuaScript, keys: Sequence[Arg], args: Sequence[Arg]) -> Any:
        """Return what a script gives.

        Raises:
            SchemaMismatch: Vectors of another model are kept now; nothing was written.
            StoreUnavailable: A reindex is about to switch, or no answer.
        """
        (reply,) = await self.scripts([ScriptCall(script, keys, args)])
        return reply

    async def scripts(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Return what scripts give that are sent together; raises as ``script``, where some may have been done."""
        if self._connection.cluster:
            await self._check_writable()
        try:
            return await self._connection.scripts([self._fenced(call) for call in calls])
        except ServerRefused as error:
            if error.fenced:
                await self._check_writable()
            raise

    async def check_still_kept(self) -> None:
        """Check that the store still keeps vectors of this router's space.

        Raises:
            SchemaMismatch: It does not.
            StoreUnavailable: No answer.
        """
        check_still_kept(await self._notes(), own=self._space, place=self._place)

    async def _check_writable(self) -> None:
        check_writable(await self._notes(), own=self._space, place=self._place)

    async def _notes(self) -> dict[str, str]:
        reply = await self._connection.run(["HGETALL", self._meta])
        return {name: value.decode(errors="replace") for name, value in as_mapping(reply).items()}

    def _fenced(self, call: ScriptCall) -> ScriptCall:
        if self._connection.cluster:
            return ScriptCall(call.script, call.keys, [*call.args, ""])
        own = f"{self._space.model} {self._space.dimension}"
        return ScriptCall(call.script, [*call.keys, self._meta], [*call.args, own])
