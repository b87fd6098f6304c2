"""Carries the small facts of one store over to another, whatever is written to the first one meanwhile."""

import asyncio
from typing import Final

from memrouter.clock import Clock
from memrouter.stores.base import MemoryStore
from memrouter.stores.state import LEASES, StateEntry

MAX_OWED: Final = 10_000
"""Most entries remembered one by one; past it everything is compared again."""
ATTEMPTS: Final = 4
"""How often an entry that is being written to is read again before others have their turn."""

_EVERYTHING: Final = ("", None)


class StateMirror:
    """Makes the entries of the new store equal to those of the old one, but for the leases and the versions.

    No operation is replayed: an entry is read from the old store as it is, written to the new one, and read again; so
    it converges in whatever order the writes of several routers come.

    Args:
        old: Is only read.
        new: Takes everything; what the old store does not have is removed from it.
        clock: Tells the time.
        wake: Set when something is owed.
    """

    def __init__(self, old: MemoryStore, new: MemoryStore, *, clock: Clock, wake: asyncio.Event) -> None:
        self._old = old
        self._new = new
        self._clock = clock
        self._wake = wake
        self._owed: set[tuple[str, str | None]] = set()

    @property
    def dirty(self) -> int:
        """Return how many entries, or whole spaces, have yet to be carried over."""
        return len(self._owed)

    def owes(self, space: str, key: str) -> bool:
        """Return whether the new store may lack the last write of an entry that this router made."""
        return not self._owed.isdisjoint({(space, key), (space, None), _EVERYTHING})

    def note(self, space: str, key: str | None) -> None:
        """Remember that an entry, or a whole space, was written to the old store, or may have been."""
        self._owed.add((space, key))
        if len(self._owed) > MAX_OWED:
            self._owed = {_EVERYTHING}
        self._wake.set()

    async def carry(self, space: str, key: str | None) -> None:
        """Bring over an entry, or a whole space, that was noted.

        Raises:
            StoreError: One of the stores failed; it is still owed.
        """
        if key is None:
            await self._sync_space(space)
        elif not await self._bring(space, key):
            return
        self._owed.discard((space, key))

    async def settle(self) -> None:
        """Bring over everything that is owed.

        Raises:
            StoreError: One of the stores failed; the rest is still owed.
        """
        for space, key in list(self._owed):
            if (space, key) == _EVERYTHING:
                await self.sync()
            else:
                await self.carry(space, key)

    async def sync(self) -> None:
        """Compare everything, and mend what differs.

        Raises:
            StoreError: One of the stores failed.
        """
        named = {space for store in (self._old, self._new) async for space in store.state.spaces()}
        for space in sorted(named - {LEASES}):
            await self._sync_space(space)
        self._owed.discard(_EVERYTHING)

    async def _sync_space(self, space: str) -> None:
        async for entry in self._old.state.entries(space, now=self._clock.now_ms()):
            if not _same(entry, await self._new.state.get(space, entry.key, now=self._clock.now_ms())):
                await self._bring(space, entry.key)
        async for entry in self._new.state.entries(space, now=self._clock.now_ms()):
            if await self._old.state.get(space, entry.key, now=self._clock.now_ms()) is None:
                await self._bring(space, entry.key)

    async def _bring(self, space: str, key: str) -> bool:
        """Return whether the old store stood still while an entry was brought over; else it is noted."""
        for _ in range(ATTEMPTS):
            entry = await self._old.state.get(space, key, now=self._clock.now_ms())
            await self._write(space, key, entry)
            again = await self._old.state.get(space, key, now=self._clock.now_ms())
            if again == entry:
                return True
        self.note(space, key)
        return False

    async def _write(self, space: str, key: str, entry: StateEntry | None) -> None:
        if entry is None:
            await self._new.state.remove(space, key)
            return
        now = self._clock.now_ms()
        if not _same(entry, await self._new.state.get(space, key, now=now)):
            await self._new.state.put(space, key, entry.value, now=now, expires_at=entry.expires_at)


def _same(entry: StateEntry, other: StateEntry | None) -> bool:
    return other is not None and (entry.value, entry.expires_at) == (other.value, other.expires_at)
