"""The head of an answer leaves together with the first piece of its body.

The server writes the two one after the other, and every write is a system call that wakes the client.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class JoinedWrites:
    """A connection's transport that holds a head back until the next write, or the event loop's next round.

    What looks like a head and is none leaves in the same order, only that much later.

    Args:
        transport: Takes what is written.
        loop: Its event loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send ``data``; see ``asyncio.Transport``."""
        if self._held:
            data, self._held = self._held + data, b""
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._held = data
            self._loop.call_soon(self._send_held)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Send what is held back, then close; see ``asyncio.Transport``."""
        self._send_held()
        self._transport.close()

    def _send_held(self) -> None:
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)


class JoiningProtocol(HttpToolsProtocol):
    """HTTP as the server speaks it, with joined writes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        joined = JoinedWrites(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.Transport", joined))
