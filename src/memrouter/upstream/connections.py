"""The connections to one model server: opened when needed, kept for the next request, never more than allowed."""

import asyncio
import contextlib
import socket
import ssl
from typing import Final

import aiohappyeyeballs

from memrouter.upstream.connection import Connection

KEPT_SECONDS: Final = 15.0
"""How long an idle connection is kept, if the server does not close it sooner."""
_NEXT_ADDRESS_SECONDS: Final = 0.25
"""After which the next address of a name is tried beside the one that does not answer (RFC 8305)."""


class Connections:
    """Lends out connections, the one that was used last first.

    Args:
        host: Name or address.
        port: Its port.
        tls: For https.
        most: Connections in use at once.
        patience: Seconds that a new connection may take, waiting for a free place included.
    """

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None, most: int, patience: float) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._patience = patience
        self._places = asyncio.Semaphore(most)
        self._lent: set[Connection] = set()
        self._idle: list[Connection] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def lend(self, *, fresh: bool = False) -> Connection:
        """Return a connection that nobody else uses; to be given back.

        Args:
            fresh: Whether it must be a new one.

        Raises:
            TimeoutError: There was none in time.
            OSError: The server cannot be connected to.
        """
        kept = None if fresh or self._places.locked() else self._kept()
        if kept is not None:
            await self._places.acquire()  # at once
            connection = kept
        else:
            async with asyncio.timeout(self._patience):
                connection = await self._waited_for(fresh=fresh)
        self._lent.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next request, or close it if its answer has not come to its end."""
        self._places.release()
        self._lent.discard(connection)
        if self._closed or not connection.reusable:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(KEPT_SECONDS, self._close_old)

    async def aclose(self) -> None:
        """Close all connections, also those that are lent out; none is kept any more."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in (*self._idle, *self._lent):
            connection.close()
        self._idle.clear()
        await asyncio.sleep(0)  # the event loop closes them in its next round

    def _kept(self) -> Connection | None:
        earliest = asyncio.get_running_loop().time() - KEPT_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable and connection.idle_since > earliest:
                return connection
            connection.close()
        return None

    async def _waited_for(self, *, fresh: bool) -> Connection:
        await self._places.acquire()
        try:
            return (None if fresh else self._kept()) or await self._opened()
        except BaseException:
            self._places.release()
            raise

    async def _opened(self) -> Connection:
        loop = asyncio.get_running_loop()
        # Without AI_ADDRCONFIG, which refuses [::1] where a machine has no other address of IPv6.
        addresses = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        connected = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1, loop=loop
        )
        with contextlib.ExitStack() as undo:
            undo.callback(connected.close)
            name = self._host.rstrip(".") if self._tls is not None else None  # certificates name no root
            _, connection = await loop.create_connection(
                Connection, sock=connected, ssl=self._tls, server_hostname=name
            )
            undo.pop_all()
        return connection

    def _close_old(self) -> None:
        loop = asyncio.get_running_loop()
        earliest = loop.time() - KEPT_SECONDS
        idle, self._idle = self._idle, []
        for connection in idle:
            if connection.reusable and connection.idle_since > earliest:
                self._idle.append(connection)
            else:
                connection.close()
        self._sweep = loop.call_later(KEPT_SECONDS, self._close_old) if self._idle else None
