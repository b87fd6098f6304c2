"""The state of a store that is known only when it is asked."""

from collections.abc import AsyncIterator, Callable

from memrouter.stores.state import StateEntry, StateStore


class DeferredState:
    """Satisfies ``StateStore`` with the one that stands behind it at the time of each call.

    Args:
        find: Returns that one; what it raises is what every call raises.
    """

    def __init__(self, find: Callable[[], StateStore]) -> None:
        self._find = find

    async def get(self, space: str, key: str, *, now: int) -> StateEntry | None:
        """See ``StateStore.get``."""
        return await self._find().get(space, key, now=now)

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
        return await self._find().put(space, key, value, now=now, expires_at=expires_at, if_version=if_version)

    async def remove(self, space: str, key: str, *, if_version: int | None = None) -> bool:
        """See ``StateStore.remove``."""
        return await self._find().remove(space, key, if_version=if_version)

    async def entries(self, space: str, *, now: int) -> AsyncIterator[StateEntry]:
        """See ``StateStore.entries``."""
        async for entry in self._find().entries(space, now=now):
            yield entry

    async def spaces(self, prefix: str = "") -> AsyncIterator[str]:
        """See ``StateStore.spaces``."""
        async for space in self._find().spaces(prefix):
            yield space

    async def drop(self, space: str) -> None:
        """See ``StateStore.drop``."""
        await self._find().drop(space)
