"""Where API keys are kept, as the router and ``memrouter keys`` see it."""

from dataclasses import dataclass
from typing import Protocol

from memrouter.api.identity.api_key import ApiKey


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A key as it is listed.

    Attributes:
        key: The key.
        last_used: About when it was last used, in milliseconds since the epoch; None where that is not known.
    """

    key: ApiKey
    last_used: int | None


class KeyKeeper(Protocol):
    """Keeps API keys. All methods may raise ``StoreUnavailable`` and ``ConfigError``."""

    async def get(self, key_id: str) -> ApiKey | None:
        """Return a key; None where there is none. What another process changed is seen."""
        ...

    async def all(self) -> list[KeptKey]:
        """Return all keys, oldest first."""
        ...

    async def add(self, key: ApiKey) -> None:
        """Keep a new key."""
        ...

    async def remove(self, key_id: str) -> bool:
        """Forget a key for good; return whether there was one."""
        ...

    async def note_use(self, key_id: str) -> None:
        """Note that a key was used just now, where that is kept."""
        ...
