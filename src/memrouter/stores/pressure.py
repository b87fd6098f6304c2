"""How full a store's server is, for stores that live in a server's memory."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Pressure:
    """How full a server is; of a cluster, the node that is nearest to its limit.

    Attributes:
        used_bytes: What it uses.
        limit_bytes: What it may use, at least 1.
    """

    used_bytes: int
    limit_bytes: int


@runtime_checkable
class Pressured(Protocol):
    """A store whose server has a limit of memory."""

    async def pressure(self) -> Pressure | None:
        """Return how full the server is; None where it has no limit, or does not tell.

        Raises:
            StoreUnavailable: The server cannot be reached.
        """
        ...
