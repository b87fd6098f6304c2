"""From when on days without use count: not those before pruning came to a store, or before an import."""

from typing import Final

from memrouter.models.memory import owner_key
from memrouter.stores.state import StateStore

SPACE: Final = "grace"
_EVERYBODY: Final = "everybody"
_LIFE_MS: Final = 400 * 86_400_000


class Grace:
    """Notes when a store is pruned for the first time, and when a user's memories were imported.

    Memories that were never pruned before, or come from elsewhere, may not have been needed for years; they get the
    days that any new memory gets.

    Args:
        state: Where the notes are kept, beside the memories.
    """

    def __init__(self, state: StateStore) -> None:
        self._state = state

    async def begin(self, *, now: int) -> None:
        """Note that the store is pruned from ``now`` (milliseconds) on, unless that is noted already."""
        await self._state.put(SPACE, _EVERYBODY, str(now).encode(), now=now, if_version=0)

    async def imported(self, user_id: str, *, now: int) -> None:
        """Note that memories of a user are brought in; to be called before they are."""
        expiry = now + _LIFE_MS
        await self._state.put(SPACE, owner_key(user_id), str(now).encode(), now=now, expires_at=expiry)

    async def since(self, user_id: str, *, now: int) -> int:
        """Return from when on days without use count for a user, in milliseconds since the epoch."""
        entries = [await self._state.get(SPACE, key, now=now) for key in (_EVERYBODY, owner_key(user_id))]
        return max((int(entry.value) for entry in entries if entry is not None), default=0)
