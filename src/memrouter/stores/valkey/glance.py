"""Single values read from a standalone server within the event loop, past the client and its threads."""

import asyncio
import re
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from memrouter.config.memory import ValkeySettings
from memrouter.errors import StoreUnavailable

TRUSTED_SECONDS: Final = 1.0
"""How long a connection is used until it is made sure again that its server is the client's, and a primary."""
PAUSE_SECONDS: Final = 5.0
"""How long nothing is tried after a connection was of no use; twice as long each time, up to MAX_PAUSE_SECONDS."""
MAX_PAUSE_SECONDS: Final = 640.0
CHUNK_BYTES: Final = 64 * 1024
"""Most bytes that are taken from the system at once, and that are kept of a reply that is not whole."""

Value: TypeAlias = bytes | None

_RUN_ID = re.compile(rb"^run_id:(\w+)", re.MULTILINE)


class NotSeen(Exception):
    """There is no connection, or the server refused: the client is to be asked, which does it or says why not."""


class Glance:
    """Reads values by their keys over one plain connection.

    The client hands each command to a thread and is told of the reply through a pipe. Where a look-up comes every few
    milliseconds, waking threads takes more of the machine's time than all else; here there are none. What is not simply
    answered is left to the client: while there is no connection, where it was lost, and whatever the server refuses.
    Use from one event loop; it connects with the first look.

    Client and connection may part: one of them is lost and made anew where the name leads to another server by then, or
    a network swallows what one sends. So a connection is trusted for a moment only, and while it is checked, which
    nobody waits for, the client is asked.

    Args:
        settings: Of a server without TLS that is no cluster.
        server: Returns what the client's server answers to ``INFO server``, or raises StoreUnavailable.
    """

    def __init__(self, settings: ValkeySettings, *, server: Callable[[], Awaitable[bytes]]) -> None:
        self._settings = settings
        self._server = server
        self._link: _Link | None = None
        self._pause = PAUSE_SECONDS
        self._checking: asyncio.Task[None] | None = None

    async def value(self, key: str) -> Value:
        """Return the string that a key holds; None for no key.

        Raises:
            NotSeen: See there.
            TimeoutError: The server did not answer within the timeout of the settings.
        """
        link = self._link
        if link is None or link.lost or asyncio.get_running_loop().time() >= link.trusted_until:
            if self._checking is None:
                self._checking = asyncio.create_task(self._check())
            raise NotSeen
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await link.ask(b"GET", key.encode())
        except TimeoutError:
            link.close()
            raise

    def doubt(self) -> None:
        """Have the connection checked before the next look, for where something is wrong with the server."""
        if self._link is not None:
            self._link.trusted_until = 0.0

    async def aclose(self) -> None:
        """Let go of the server; calling it again does nothing."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait({self._checking})
        self._drop()

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()

    async def _check(self) -> None:
        try:
            async with asyncio.timeout(self._settings.timeout):
                if self._link is None or self._link.lost:
                    self._link = await self._admitted()
                begun = asyncio.get_running_loop().time()
                await self._compared(self._link)
            self._link.trusted_until, self._pause = begun + TRUSTED_SECONDS, PAUSE_SECONDS
        except (OSError, ValueError, NotSeen, StoreUnavailable):  # a TimeoutError is an OSError
            self._drop()
            pause, self._pause = self._pause, min(2 * self._pause, MAX_PAUSE_SECONDS)
            await asyncio.sleep(pause)
        finally:
            self._checking = None

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
        if password := settings.password.get_secret_value():  # a name alone is not told, as by the client
            await link.ask(*filter(None, (b"AUTH", settings.username.encode(), password.encode())))
        if settings.database:
            await link.ask(b"SELECT", str(settings.database).encode())
        await link.ask(b"CLIENT", b"SETNAME", b"memrouter")

    async def _compared(self, link: "_Link") -> None:
        """Return where this is the client's server, and a primary; raise NotSeen where it is not."""
        own = await link.ask(b"INFO", b"server") or b""
        role = await link.ask(b"INFO", b"replication") or b""
        identity = _RUN_ID.search(own)
        if identity is None or identity[0] not in await self._server() or b"role:master" not in role:
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
        self.trusted_until = 0.0
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
        if not taken or len(self._read) > CHUNK_BYTES:
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
        try:
            made = socket.socket(family, kind, protocol)
        except OSError as error:  # a machine without IPv6
            failure = error
            continue
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
