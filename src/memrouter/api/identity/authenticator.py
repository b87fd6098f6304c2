"""What every way to know a caller has in common."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from memrouter.models.turn import Identity

RawHeaders = Sequence[tuple[bytes, bytes]]
"""ASGI headers: names in lower case, values as received."""
Client = Sequence[object] | None
"""Address and port of the connection as ASGI gives them; None where there is none."""

Scheme = Callable[..., Any]
"""A security scheme of FastAPI."""

NOBODY: Final = Identity()


class Authenticator(Protocol):
    """Says who is calling, from headers and the address of the connection alone."""

    @property
    def schemes(self) -> Sequence[Scheme]:
        """Return how the API's description says who is calling; each of them is enough."""
        ...

    @property
    def challenge(self) -> str:
        """Return the header ``WWW-Authenticate`` of a 401 for a caller who said nothing."""
        ...

    @property
    def advice(self) -> str:
        """Return what a caller whom nobody names should do, as the end of a sentence."""
        ...

    @property
    def is_open(self) -> bool:
        """Return whether callers whom nobody names may talk to models."""
        ...

    async def identify(self, headers: RawHeaders, client: Client) -> Identity:
        """Return who is calling; ``NOBODY`` where nobody is named, which only an open authenticator allows.

        Args:
            headers: Of the request.
            client: Its connection.

        Raises:
            InvalidRequest: Headers that cannot be right, whoever sent them. ``param`` is the header.
            Unauthenticated: A credential is missing or wrong; the message never holds any of it.
            Forbidden: The caller is known and claims to be somebody else.
            Overloaded: Credentials cannot be checked now.
            StoreUnavailable: The store with the keys cannot be asked.
        """
        ...

    async def check(self) -> None:
        """Prove that credentials can be checked.

        Raises:
            MemrouterError: They cannot; the message says why.
        """
        ...

    async def aclose(self) -> None:
        """End what runs in the background; calling it again does nothing."""
        ...
