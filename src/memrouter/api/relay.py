"""Send an upstream answer on to the client as it comes: unchanged, or translated for another API."""

import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from memrouter.api.errors import error_body
from memrouter.api.hangup import ClientGone, Hangup
from memrouter.api.translation import Translation
from memrouter.errors import UpstreamError
from memrouter.models.turn import Reply
from memrouter.upstream.base import UpstreamReply
from memrouter.upstream.reply import ReplyReader

logger = logging.getLogger(__name__)

Headers = Sequence[tuple[bytes, bytes]]


class RelayResponse(Response):
    """An ASGI response whose body is the upstream's, byte for byte, piece by piece, or made from it in the same pieces.

    Args:
        upstream: The answer; closed when the response ends, however it ends.
        extra_headers: Headers of the router, added to the upstream's.
        request_id: Named to the client where the upstream breaks off.
        hangup: Watches the client.
        reader: Reads along.
        finish: Called once with what was read, after the last byte or when the answer was cut off.
        translation: Makes the answer from the upstream's; None relays it as it is.
        closing: Awaited when the upstream's body is complete, before the last bytes are sent.
    """

    def __init__(
        self,
        upstream: UpstreamReply,
        *,
        extra_headers: Headers,
        request_id: str,
        hangup: Hangup,
        reader: ReplyReader,
        finish: Callable[[Reply], Awaitable[None]],
        translation: Translation | None = None,
        closing: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        headers = upstream.headers if translation is None else translation.start(upstream.status, upstream.headers)
        self.status_code = upstream.status
        self.background = None
        self.raw_headers = [pair for pair in headers if pair[0] != b"date"] + list(extra_headers)
        self._upstream = upstream
        self._request_id = request_id
        self._hangup = hangup
        self._reader = reader
        self._finish = finish
        self._translation = translation
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send status, headers and body; stop the upstream when the client goes away."""
        complete = False
        try:
            if self._translation is None or not self._translation.waits:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            complete = await self._hangup.guard(self._pump(send))
        except ClientGone:
            logger.info("client hung up; upstream call cancelled")
        finally:
            self._hangup.release()
            await self._upstream.aclose()
            await self._finish(self._reader.reply(status=self._upstream.status, complete=complete))

    async def _pump(self, send: Send) -> bool:
        sent_end = False
        try:
            async for chunk in self._upstream.chunks():
                self._reader.feed(chunk)
                if self._translation is None:
                    sent_end = self._upstream.ended  # then the end leaves with the last piece
                    await send({"type": "http.response.body", "body": chunk, "more_body": not sent_end})
                elif body := self._translation.feed(chunk):
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                if not sent_end:
                    self._hangup.watch()
        except UpstreamError as error:
            logger.warning("upstream broke off in the middle of its answer: %s", error)
            await self._break_off(error, send)
            return False
        if self._translation is not None:
            rest = self._translation.end()
            if self._closing is not None:
                await self._closing()
            await self._send_end(self._translation, rest, send)
            return self._translation.failure is None
        if not sent_end:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        return True

    async def _send_end(self, translation: Translation, rest: bytes, send: Send) -> None:
        """Send the last bytes of a translated answer, with its head where that has waited for them."""
        if translation.waits:
            self.status_code = translation.status
            headers = [*self.raw_headers, (b"content-length", str(len(rest)).encode())]
            await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": rest, "more_body": False})

    async def _break_off(self, error: UpstreamError, send: Send) -> None:
        """Tell the client what happened.

        A translated answer ends with it, since its form has a word for that. One that is relayed as it is is left
        without its end: the server then cuts the connection, which tells every client that it is not whole.
        """
        if self._translation is not None:
            said = self._translation.broken(error, request_id=self._request_id)
            await self._send_end(self._translation, said, send)
        elif self._reader.is_stream:
            event = b"\n\ndata: " + msgspec.json.encode(error_body(error, request_id=self._request_id)) + b"\n\n"
            await send({"type": "http.response.body", "body": event, "more_body": True})
