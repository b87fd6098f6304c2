"""One plain connection to a Valkey or Redis server, for looking at each step that a full client hides."""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from typing import Any, Final

from memrouter.errors import StoreError, StoreUnavailable

_MAX_BULK: Final = 16 * 1024 * 1024
_MAX_ITEMS: Final = 1_000_000
_MAX_DEPTH: Final = 16
_LINE_LIMIT: Final = 64 * 1024

Argument = str | bytes | int


class Refused(StoreError):
    """The server answered with an error.

    Attributes:
        code: Its first word, such as ``NOPERM``.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


class _NotRespError(ValueError):
    """The bytes are not of RESP2."""


class RespConnection:
    """Speaks RESP2, one command at a time; every reply must come within ``patience`` seconds."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, patience: float) -> None:
        self._reader = reader
        self._writer = writer
        self._patience = patience

    @classmethod
    async def open(
        cls, host: str, port: int, *, tls: ssl.SSLContext | None = None, server_name: str = "", patience: float
    ) -> "RespConnection":
        """Return a connection.

        Args:
            host: Name or address to connect to.
            port: Its port.
            tls: How to encrypt; None for plain TCP.
            server_name: The name that the certificate must carry; empty = ``host``.
            patience: Seconds for connecting, and for each reply.

        Raises:
            OSError: No connection, or no agreement on TLS (``ssl.SSLError``).
            TimeoutError: Nothing came in time.
        """
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=tls, server_hostname=(server_name or host) if tls else None, limit=_LINE_LIMIT
            )
        return cls(reader, writer, patience=patience)

    async def run(self, args: Sequence[Argument]) -> Any:
        """Send one command and return its reply: bytes, int, list or None; a status such as ``OK`` is bytes too.

        Raises:
            Refused: The server answered with an error.
            StoreUnavailable: No usable answer: silence, a closed connection, or another protocol.
        """
        try:
            async with asyncio.timeout(self._patience):
                self._writer.write(_encoded(args))
                await self._writer.drain()
                reply = await self._reply(0)
        except TimeoutError as error:
            raise StoreUnavailable(f"no answer within {self._patience:g} s") from error
        except (OSError, EOFError) as error:
            raise StoreUnavailable("the server closed the connection") from error
        except (ValueError, asyncio.LimitOverrunError) as error:
            raise StoreUnavailable("the answer is not of the Redis protocol") from error
        if isinstance(reply, Refused):
            raise reply
        return reply

    async def aclose(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._writer.wait_closed()

    async def _reply(self, depth: int) -> Any:
        line = await self._reader.readuntil(b"\r\n")
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest
            case b"-":
                return Refused(rest.decode(errors="replace"))
            case b":":
                return int(rest)
            case b"$":
                return await self._bulk(_length(rest, _MAX_BULK))
            case b"*" if depth < _MAX_DEPTH:
                count = _length(rest, _MAX_ITEMS)
                return None if count < 0 else [await self._reply(depth + 1) for _ in range(count)]
            case _:
                raise _NotRespError

    async def _bulk(self, length: int) -> bytes | None:
        if length < 0:
            return None
        data = await self._reader.readexactly(length + len(b"\r\n"))
        return data[:-2]


def _encoded(args: Sequence[Argument]) -> bytes:
    parts = [arg if isinstance(arg, bytes) else str(arg).encode(errors="surrogateescape") for arg in args]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def _length(text: bytes, most: int) -> int:
    length = int(text)
    if not -1 <= length <= most:
        raise _NotRespError
    return length
