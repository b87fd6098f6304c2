"""Work that only one router of a fleet does at a time: who holds it, and for how long. Knows no memory rules."""

from typing import Final

from memrouter.clock import Clock
from memrouter.stores.state import LEASES, StateStore

LEASE_MS: Final = 30_000
"""How long a lease holds without being renewed."""


class Lease:
    """A claim to one piece of work, kept in the store.

    Its holder renews it while it works. One that dies leaves it to expire, and another router goes on. Since routers
    look at their own clocks, two whose clocks are more than the lease apart may both hold it; so every write of the
    work has to be safe without it, as those are that name the generation at which they were planned.

    Args:
        name: Of the work, printable ASCII without blanks.
        holder: Names this router, for whoever looks into the store.
        state: Where the fleet keeps it.
        clock: Tells the time.

    Attributes:
        token: The fencing token: higher than those of all holders before, 0 where the lease is not held.
    """

    def __init__(self, name: str, *, holder: str, state: StateStore, clock: Clock) -> None:
        self._name = name
        self._holder = holder
        self._state = state
        self._clock = clock
        self._until = 0
        self.token = 0

    @property
    def held(self) -> bool:
        """Return whether this router holds the lease, as far as can be told without asking."""
        return self.token > 0 and self._clock.now_ms() < self._until

    async def acquire(self) -> bool:
        """Take the lease if nobody holds it; return whether this router has it now.

        Raises:
            StoreUnavailable: The store could not be asked.
        """
        return await self._put(if_version=0)

    async def keep(self) -> bool:
        """Renew the lease once a third of its time is over; return whether it is still held.

        Raises:
            StoreUnavailable: The store could not be asked.
        """
        if not self.held:
            self.token = 0
        elif self._until - self._clock.now_ms() < LEASE_MS * 2 // 3:
            await self._put(if_version=self.token)
        return self.held

    async def release(self) -> None:
        """Give the lease back, if it is held.

        Raises:
            StoreUnavailable: The store could not be asked; the lease expires by itself.
        """
        token, self.token = self.token, 0
        if token:
            await self._state.remove(LEASES, self._name, if_version=token)

    async def _put(self, *, if_version: int) -> bool:
        now = self._clock.now_ms()
        self.token = 0  # so that an error leaves nothing that could be taken for a lease
        until = now + LEASE_MS
        version = await self._state.put(
            LEASES, self._name, self._holder.encode(), now=now, expires_at=until, if_version=if_version
        )
        if version is not None:
            self.token, self._until = version, until
        return self.held
