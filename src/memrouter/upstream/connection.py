"""One HTTP/1.1 connection to a model server: one request after the other, each answer in the pieces in which it comes.

A general HTTP client takes longer for one request than the rest of the router does; what is here is the part of it that
a router needs. The bytes of HTTP are read by llhttp.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, cast

import httptools

from memrouter.upstream.headers import NO_BODY

RawHeaders = Sequence[tuple[bytes, bytes]]

MAX_HEAD_BYTES: Final = 64 * 1024
"""Largest status line with headers that is read."""
MAX_WAITING_BYTES: Final = 128 * 1024
"""Bytes of a body that wait to be read, from which on the server has to wait too."""
PIECE_BYTES: Final = 512 * 1024
"""Larger bodies are sent in pieces of this size, each when the one before it has left."""

_FIRST_FINAL_STATUS: Final = 200


class ConnectionBroken(Exception):
    """The connection ended before the answer did, or what came is not an answer; the message never quotes it."""


def request_head(start: bytes, headers: Mapping[str, str], *, length: int) -> bytes:
    """Return what stands in front of a request's body.

    Args:
        start: Everything up to and with the Host header.
        headers: All others but Content-Length; text that is not ASCII is sent as UTF-8.
        length: Bytes of the body.

    Raises:
        ValueError: A header holds a line break or a null character.
    """
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if not text.count("\r") == text.count("\n") == len(headers) or "\0" in text:
        raise ValueError("a header for the model server holds a line break or a null character")
    return b"%b%bcontent-length: %d\r\n\r\n" % (start, text.encode(), length)


class Connection(asyncio.Protocol):
    """Asks one request at a time: ``ask``, then ``read`` until it returns nothing.

    Attributes:
        status: HTTP status of the answer; 0 until it is known.
        headers: Its headers, as received.
        complete: Whether the whole answer has arrived; some of it may still have to be read.
        used: Whether the connection has brought an answer to its end.
        idle_since: For whoever keeps connections.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: RawHeaders = ()
        self.complete = True
        self.used = False
        self.idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        self._transport: asyncio.Transport
        self._fields: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._head_bytes = self._body_bytes = 0
        self._until_eof = False
        self._keeps = True
        self._reading_paused = self._writing_paused = False
        self._lost = False
        self._error: Exception | None = None
        self._changed: asyncio.Future[None] | None = None
        self._silence = self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def reusable(self) -> bool:
        """Return whether another request may be sent."""
        return self.complete and self._keeps and not self._lost and not self._transport.is_closing()

    @property
    def ended(self) -> bool:
        """Return whether the whole answer has arrived and been read."""
        return self.complete and not self._body

    async def ask(self, head: bytes, body: bytes, *, silence: float) -> None:
        """Send a request and return when the status and headers of its answer are there.

        Args:
            head: From ``request_head``.
            body: Its body.
            silence: Longest time in seconds in which nothing comes, until the end of the answer.

        Raises:
            TimeoutError: Nothing came for so long.
            ConnectionBroken: There will be no answer.
        """
        if not self.reusable:
            raise ConnectionBroken("it closed the connection")
        self.status, self.headers, self.complete = 0, (), False
        self._head_bytes = self._body_bytes = 0
        self._fields, self._until_eof = [], False
        self._body.clear()
        self._silence, self._heard = silence, self._loop.time()
        self._timer = self._loop.call_later(silence, self._check_silence)
        if len(body) <= PIECE_BYTES:
            self._transport.write(head + body)
        else:
            await self._send_pieces(head, memoryview(body))
        while not self.status:
            await self._change()

    async def read(self) -> bytes:
        """Return what has come of the body since the last call; nothing at its end.

        Raises:
            TimeoutError: Nothing came for too long.
            ConnectionBroken: The rest will not come.
        """
        while not self._body:
            if self.complete:
                return b""
            await self._change()
        piece = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._body_bytes = 0
        if self._reading_paused:
            self._reading_paused, self._heard = False, self._loop.time()
            self._transport.resume_reading()
        return piece

    def close(self) -> None:
        """End the connection, whatever it is doing."""
        if not self.complete and self._error is None:
            self._fail(ConnectionBroken("the router closed the connection"))
        self._transport.close()

    async def _send_pieces(self, head: bytes, body: memoryview) -> None:
        """Send a large request; a server that answers before it has all of it is not sent the rest."""
        self._transport.write(head)
        for first in range(0, len(body), PIECE_BYTES):
            while self._writing_paused and not self.status:
                await self._change()
            if self.status:
                self._keeps = False
                return
            self._transport.write(body[first : first + PIECE_BYTES])

    async def _change(self) -> None:
        """Wait until something has come or changed."""
        if self._error is not None:
            raise self._error
        self._changed = self._loop.create_future()
        try:
            await self._changed
        finally:
            self._changed = None

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def _fail(self, error: Exception) -> None:
        self._error, self._keeps = error, False
        self._stop_clock()
        self._wake()

    def _check_silence(self) -> None:
        left = self._silence if self._reading_paused else self._heard + self._silence - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_silence)
        else:
            self._fail(TimeoutError())

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        if self.complete:  # nobody has asked for it
            self._keeps = False
            self._transport.close()
            return
        self._heard = self._loop.time()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(ConnectionBroken("what it sent is not HTTP/1.1"))
        if not self.status:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._fail(ConnectionBroken("its headers are too large"))
        elif self._body_bytes > MAX_WAITING_BYTES and not self._reading_paused and not self.complete:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self._lost = True
        if self.complete or self._error is not None:
            return
        if self._until_eof and exc is None:
            self._end(keeps=False)
            self._wake()
        else:
            self._fail(ConnectionBroken(getattr(exc, "strerror", None) or "it closed the connection"))

    def pause_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        self._writing_paused = False
        self._wake()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Note the beginning of an answer; of a second one if the first is complete."""
        if self.complete:
            self._keeps = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; nobody reads trailers."""
        if not self.status:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the head of an answer; those that announce another one are passed over."""
        fields, self._fields = self._fields, []
        status = self._parser.get_status_code()
        if status >= _FIRST_FINAL_STATUS and not self.complete:
            self.status, self.headers = status, fields
            self._until_eof = status not in NO_BODY and not any(_is_length(name, value) for name, value in fields)

    def on_body(self, body: bytes) -> None:
        """Note bytes of the body."""
        if self.status and not self.complete:
            self._body.append(body)
            self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        """Note the end of an answer."""
        if self.status and not self.complete:
            self._end(keeps=self._parser.should_keep_alive())

    def _end(self, *, keeps: bool) -> None:
        self.complete, self.used = True, True
        # What a server did not take of a request would stand in front of the next one.
        self._keeps = self._keeps and keeps and not self._transport.get_write_buffer_size()
        self._stop_clock()


def _is_length(name: bytes, value: bytes) -> bool:
    """Return whether a header tells where the body ends."""
    name, value = name.lower(), value.lower().rstrip(b" ")  # blanks behind a value are part of it here
    return name == b"content-length" or (name == b"transfer-encoding" and value.endswith(b"chunked"))
