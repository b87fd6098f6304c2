"""API keys beside the memories, shared by all routers of a fleet."""

from typing import Final

import msgspec

from memrouter.api.identity.api_key import ApiKey
from memrouter.api.identity.key_keeper import KeptKey
from memrouter.clock import Clock
from memrouter.errors import SchemaMismatch
from memrouter.stores.state import StateStore

KEYS: Final = "api_keys"
USES: Final = "api_key_uses"


class KeyState:
    """Keeps keys in the memory store; satisfies ``KeyKeeper``.

    Args:
        state: Of the store.
        clock: Tells when a key was used.
    """

    def __init__(self, state: StateStore, *, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    async def get(self, key_id: str) -> ApiKey | None:
        """See ``KeyKeeper``."""
        entry = await self._state.get(KEYS, key_id, now=self._clock.now_ms())
        return _decoded(entry.value) if entry else None

    async def all(self) -> list[KeptKey]:
        """See ``KeyKeeper``."""
        now = self._clock.now_ms()
        used = {entry.key: int(entry.value) async for entry in self._state.entries(USES, now=now)}
        kept = [_decoded(entry.value) async for entry in self._state.entries(KEYS, now=now)]
        return [KeptKey(key, used.get(key.id)) for key in sorted(kept, key=lambda key: key.created)]

    async def add(self, key: ApiKey) -> None:
        """See ``KeyKeeper``."""
        await self._state.put(KEYS, key.id, msgspec.json.encode(key), now=self._clock.now_ms())

    async def remove(self, key_id: str) -> bool:
        """See ``KeyKeeper``."""
        removed = await self._state.remove(KEYS, key_id)
        await self._state.remove(USES, key_id)
        return removed

    async def note_use(self, key_id: str) -> None:
        """See ``KeyKeeper``."""
        now = self._clock.now_ms()
        await self._state.put(USES, key_id, str(now).encode(), now=now)


def _decoded(value: bytes) -> ApiKey:
    try:
        return msgspec.json.decode(value, type=ApiKey)
    except msgspec.MsgspecError:
        raise SchemaMismatch("an API key in the store is not of this version; revoke it or update memrouter") from None
