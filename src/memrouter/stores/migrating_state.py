"""The small facts of two stores as one, while everything moves from the old one to the new one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypeAlias

from memrouter.errors import StoreError, StoreUnavailable
from memrouter.stores.base import MemoryStore
from memrouter.stores.circuit import Circuit
from memrouter.stores.state import LEASES, StateEntry, check_name
from memrouter.stores.state_mirror import StateMirror

PATIENCE_SECONDS: Final = 0.5
"""How long a read waits for one of the stores before it goes to the other, and for the old store's generation."""

Carried: TypeAlias = Callable[[Coroutine[Any, Any, object]], Coroutine[Any, Any, bool]]
"""Tells whether the new store has taken something in time."""


class MigratingState:
    """Satisfies ``StateStore``; the old store decides on every write, gives every version and answers every read.

    So a lease, a key and a switch are the same for all routers, whether or not they read memories from the new store
    already. What was written is carried over, all but the leases, before the call returns where that is quick, else
    in the background. Once memories are read from the new store, ``get`` goes to it where the old one fails, unless it
    lacks what this router wrote; the version is negative then and holds for no write. Versions begin anew in the new
    store, and so do leases.

    Args:
        old: Decides.
        new: Gets what was written.
        mirror: Of these two.
        circuit: Of the old store.
        started: Whether the new store may be written to.
        reads_new: Whether it may answer.
        carried: Waits until it has taken something, for a while.
    """

    def __init__(
        self,
        old: MemoryStore,
        new: MemoryStore,
        mirror: StateMirror,
        *,
        circuit: Circuit,
        started: Callable[[], bool],
        reads_new: Callable[[], bool],
        carried: Carried,
    ) -> None:
        self._old = old
        self._new = new
        self._mirror = mirror
        self._circuit = circuit
        self._started = started
        self._reads_new = reads_new
        self._carried = carried

    async def get(self, space: str, key: str, *, now: int) -> StateEntry | None:
        """See ``StateStore.get``."""
        if not self._reads_new() or space == LEASES:
            return await self._old.state.get(space, key, now=now)
        if self._circuit.allows():
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    entry = await self._old.state.get(space, key, now=now)
            except (StoreError, TimeoutError):
                self._circuit.failed()
            else:
                self._circuit.succeeded()
                return entry
        return await self._get_new(space, key, now=now)

    async def put(
        self,
        space: str,
        key: str,
        value: bytes,
        *,
        now: int,
        expires_at: int | None = None,
        if_version: int | None = None,
    ) -> int | None:
        """See ``StateStore.put``."""
        async with self._writing(space, check_name(key)):
            return await self._old.state.put(space, key, value, now=now, expires_at=expires_at, if_version=if_version)

    async def remove(self, space: str, key: str, *, if_version: int | None = None) -> bool:
        """See ``StateStore.remove``."""
        async with self._writing(space, check_name(key)):
            return await self._old.state.remove(space, key, if_version=if_version)

    def entries(self, space: str, *, now: int) -> AsyncIterator[StateEntry]:
        """See ``StateStore.entries``."""
        return self._old.state.entries(space, now=now)

    def spaces(self, prefix: str = "") -> AsyncIterator[str]:
        """See ``StateStore.spaces``."""
        return self._old.state.spaces(prefix)

    async def drop(self, space: str) -> None:
        """See ``StateStore.drop``."""
        async with self._writing(space, None):
            await self._old.state.drop(space)

    async def _get_new(self, space: str, key: str, *, now: int) -> StateEntry | None:
        if self._mirror.owes(space, key):
            raise StoreUnavailable(
                "the old memory store cannot be reached, and the new one does not have the last change of this yet"
            )
        entry = await self._new.state.get(space, key, now=now)
        return None if entry is None else replace(entry, version=-1 - entry.version)

    @asynccontextmanager
    async def _writing(self, space: str, key: str | None) -> AsyncIterator[None]:
        """Carry over what a write changed; one that failed may have been made, and is looked for later."""
        if check_name(space) == LEASES or not self._started():
            yield
            return
        self._mirror.note(space, key)
        yield
        done = False
        try:
            done = await self._carried(self._mirror.carry(space, key))
        finally:
            if not done:  # an earlier write of the same that came through may have crossed it out
                self._mirror.note(space, key)
