"""Single values read from a standalone server within the event loop, past the client and its threads."""

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from typing import Final, TypeAlias

from memrouter.config.memory import ValkeySettings

PAUSE_SECONDS: Final = 5.0
"""How long no connection is tried after one could not be made."""
CHUNK_BYTES: Final = 64 * 1024
"""Most bytes that are taken from the system at once."""

Value: TypeAlias = bytes | None


class NotSeen(Exception):
    """There is no connection, or the server refused: the client is to be asked, which does it or says why not."""


class Glance:
    """Reads values by their keys over one plain connection.

    The client hands each command to a thread and is told of the reply through a pipe. Where a look-up comes every few
    milliseconds, waking threads takes more of the machine's time than all else; here there are none. What is not simply
    answered is left to the client: while there is no connection, where it was lost, and whatever the server refuses.
    A server that is not a primary is not asked. Use from one event loop; it connects with the first look.

    Args:
        settings: Of a server without TLS that is no cluster.
    """

    def __init__(self, settings: ValkeySettings) -> None:
        self._settings = settings
        self._link: _Link | None = None
        self._opening: asyncio.Task[None] | None = None

    async def value(self, key: str) -> Value:
        """Return the string that a key holds; None for no key.

        Raises:
            NotSeen: See there.
            TimeoutError: The server did not answer within the timeout of the settings.
        """
        link = self._link
        if link is None or link.lost:
            if self._opening is None:
                self._opening = asyncio.create_task(self._open())
            raise NotSeen
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await link.ask(b"GET", key.encode())
        except TimeoutError:
            link.close()
            raise

    def forget(self) -> None:
        """Close the connection, for where something is wrong with the server; the next look makes another."""
        if self._link is not None:
            self._link.close()

    async def aclose(self) -> None:
        """Let go of the server; calling it again does nothing."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        self.forget()

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(self._settings.timeout):
                self._link = await self._admitted()
        except (OSError, NotSeen):  # a TimeoutError is an OSError
            await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._opening = None

    async def _admitted(self) -> "_Link":
        link = _Link(await _connected(self._settings.host, self._settings.port))
        try:
            await self._greet(link)
        except BaseException:
            link.close()
            raise
        return link

    async def _greet(self, link: "_Link") -> None:
        settings = self._settings
        if password := settings.password.get_secret_value():
            await link.ask(*filter(None, (b"AUTH", settings.username.encode(), password.encode())))
        if settings.database:
            await link.ask(b"SELECT", str(settings.database).encode())
        await link.ask(b"CLIENT", b"SETNAME", b"memrouter")
        if b"role:master" not in (await link.ask(b"INFO", b"replication") or b""):
            raise NotSeen


class _Link:
    """One open connection; replies come in the order of the commands.

    Commands are small: where the system does not take one whole, the server has stopped reading.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self._asked: deque[asyncio.Future[Value]] = deque()
        self._read = b""
        self.lost = False
        self._loop.add_reader(connected, self._readable)

    def ask(self, *command: bytes) -> "asyncio.Future[Value]":
        """Send a command at once, not when the event loop comes round, and return what will be its reply."""
        asked = self._loop.create_future()
        self._asked.append(asked)
        data = written(command)
        try:
            whole = self._socket.send(data) == len(data)
        except OSError:
            whole = False
        if not whole:
            self.close()
        return asked

    def close(self) -> None:
        """Give the connection up: who waits is told so."""
        if not self.lost:
            self.lost = True
            self._loop.remove_reader(self._socket)
            self._socket.close()
        while self._asked:
            _settle(self._asked.popleft(), NotSeen())

    def _readable(self) -> None:
        try:
            taken = self._socket.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            taken = b""
        self._read += taken
        try:
            at = 0
            while (found := read_reply(self._read, at)) is not None:
                reply, at = found
                _settle(self._asked.popleft(), reply)
            self._read = self._read[at:]
        except (ValueError, IndexError):  # nothing that a server says, or nothing that was asked
            taken = b""
        if not taken:
            self.close()


def written(command: Sequence[bytes]) -> bytes:
    """Return the bytes of a command."""
    return b"*%d\r\n%b" % (len(command), b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in command]))


def read_reply(data: bytes, at: int) -> tuple[Value | NotSeen, int] | None:
    """Return the reply that begins at a place, and where it ends; None while there is not all of it.

    Raises:
        ValueError: It is neither a string nor an error.
    """
    end = data.find(b"\r\n", at)
    if end < 0:
        return None
    kind, head, after = data[at : at + 1], data[at + 1 : end], end + 2
    if kind == b"+":
        return head, after
    if kind == b"-":
        return NotSeen(), after
    if kind != b"$":
        raise ValueError("no reply to a look")
    size = int(head)
    if size < 0:
        return None, after
    end = after + size
    return (data[after:end], end + 2) if len(data) >= end + 2 else None


def _settle(asked: "asyncio.Future[Value]", reply: Value | NotSeen) -> None:
    if asked.done():  # nobody waits any more
        return
    if isinstance(reply, NotSeen):
        asked.set_exception(reply)
    else:
        asked.set_result(reply)


async def _connected(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure = OSError("no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        made = socket.socket(family, kind, protocol)
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(made, address)
        except OSError as error:
            made.close()
            failure = error
        except BaseException:
            made.close()
            raise
        else:
            return made
    raise failure
