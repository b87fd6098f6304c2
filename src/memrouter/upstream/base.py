"""The one interface to model servers."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec


class UpstreamRequest(msgspec.Struct, frozen=True):
    """A chat request ready to be sent.

    Attributes:
        model: Name of the model in the configuration; chooses the backends.
        body: The bytes to send.
        headers: End-to-end headers, names in lower case, without credentials of the backend.
        timeout: Longest silence in seconds: until the first byte, and between two pieces of the body.
    """

    model: str
    body: bytes
    headers: Mapping[str, str]
    timeout: float


class UpstreamReply(Protocol):
    """An answer whose status and headers have arrived; its body may still be coming."""

    @property
    def status(self) -> int:
        """Return the HTTP status of the backend."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Return the end-to-end headers as received, names in lower case."""
        ...

    @property
    def backend(self) -> str:
        """Return the name of the backend that answered."""
        ...

    @property
    def ended(self) -> bool:
        """Return whether nothing follows what ``chunks`` has yielded, as far as that is known already."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes, never buffered, unchanged.

        Raises:
            UpstreamTimeout: The backend fell silent.
            UpstreamError: The connection broke before the end.
        """
        ...

    async def aclose(self) -> None:
        """End the call; where the body has not ended, the backend sees the connection close."""
        ...


class ChatUpstream(Protocol):
    """The model servers behind the router."""

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """Return the first usable answer for a chat request.

        Backends are tried by weight; a connect error or a 5xx before the first byte leads to the next one. When all
        have failed, the last 5xx answer is returned as it is.

        Raises:
            UpstreamUnreachable: No backend could be connected to.
            UpstreamTimeout: A backend took the request and kept silent.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections; calling it again does nothing."""
        ...
