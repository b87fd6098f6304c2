"""What the model said, read along while the answer is relayed."""

from collections.abc import Sequence
from typing import Self

import msgspec

from memrouter.models.memory import cut_to_bytes
from memrouter.models.turn import Reply
from memrouter.upstream.sse import SseParser

MAX_TEXT_BYTES = 256 * 1024
READ_FROM_BYTES = 16 * 1024
"""Bytes of a stream that are read together: not while the client waits for them, and at less cost than piece by piece;
few enough that reading them holds nobody up."""
MAX_JSON_BYTES = 8 * 1024 * 1024
_NULL = msgspec.Raw(b"null")


class _Part(msgspec.Struct):
    text: str | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None
    tool_calls: list[msgspec.Raw] | None = None
    function_call: msgspec.Raw = _NULL


class _Choice(msgspec.Struct):
    index: int | None = None
    message: _Message | None = None
    delta: _Message | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] | None = None
    error: msgspec.Raw = _NULL


_DECODER = msgspec.json.Decoder(_Completion)


class ReplyReader:
    """Reads a chat completion, streamed or not, from the bytes that are relayed. It never raises and is bounded.

    An answer that it cannot read, such as a compressed one or one of another shape, has the text "".

    Args:
        is_stream: Whether the body is a stream of server-sent events.
        max_text_bytes: Most UTF-8 bytes of text that are kept; what is longer is cut at a character border.
        max_json_bytes: Largest body, not streamed, that is read at all.
    """

    def __init__(
        self, *, is_stream: bool, max_text_bytes: int = MAX_TEXT_BYTES, max_json_bytes: int = MAX_JSON_BYTES
    ) -> None:
        self._sse = SseParser() if is_stream else None
        self._max_text_bytes = max_text_bytes
        self._max_json_bytes = max_json_bytes
        self._unread: list[bytes] = []
        self._unread_bytes = 0
        self._body = bytearray()
        self._body_bytes = 0
        self._text: list[str] = []
        self._text_bytes = 0
        self._tool_calls = False
        self._failed = False

    @classmethod
    def for_headers(cls, headers: Sequence[tuple[bytes, bytes]], *, stream: bool) -> Self:
        """Return a reader for an answer with these headers, names in lower case.

        Args:
            headers: Their content-type decides, where it says event stream or JSON.
            stream: Whether the client asked for a stream; decides otherwise.
        """
        kinds = [value.split(b";")[0].strip().lower() for name, value in headers if name == b"content-type"]
        kind = kinds[0] if kinds else b""
        return cls(is_stream=kind == b"text/event-stream" or (stream and kind != b"application/json"))

    @property
    def is_stream(self) -> bool:
        """Return whether the answer is read as server-sent events."""
        return self._sse is not None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        if self._sse is not None:
            self._unread.append(chunk)
            self._unread_bytes += len(chunk)
            if self._unread_bytes > READ_FROM_BYTES:
                self._read(self._sse)
            return
        self._body_bytes += len(chunk)
        if self._body_bytes <= self._max_json_bytes:
            self._body += chunk
        else:
            self._body = bytearray()

    def reply(self, *, status: int, complete: bool) -> Reply:
        """Return what was said, once the last byte was fed or the answer broke off.

        A body of JSON is parsed here: about 1 ms for each MiB.

        Args:
            status: HTTP status of the backend.
            complete: Whether the last byte arrived and was sent; an answer that holds an error is not complete even so.
        """
        if self._sse is not None:
            self._read(self._sse)
        if self._body:
            self._take(self._body)
            self._body = bytearray()
        text = cut_to_bytes("".join(self._text), self._max_text_bytes)
        return Reply(text=text, status=status, complete=complete and not self._failed, tool_calls=self._tool_calls)

    def _read(self, sse: SseParser) -> None:
        """Read what has come of a stream since the last time."""
        unread = b"".join(self._unread)
        self._unread.clear()
        self._unread_bytes = 0
        for event in sse.feed(unread):
            self._take(event.data)

    def _take(self, data: str | bytearray) -> None:
        try:
            completion = _DECODER.decode(data)
        except (ValueError, RecursionError):
            return  # not JSON, such as [DONE], or not a completion
        self._failed = self._failed or completion.error != _NULL
        for choice in completion.choices or ():
            if not choice.index:
                self._take_message(choice.delta or choice.message)

    def _take_message(self, message: _Message | None) -> None:
        if message is None:
            return
        self._tool_calls = self._tool_calls or bool(message.tool_calls) or message.function_call != _NULL
        pieces = [message.content] if isinstance(message.content, str) else [p.text for p in message.content or ()]
        for piece in pieces:
            if piece and self._text_bytes < self._max_text_bytes:
                self._text.append(piece)
                self._text_bytes += len(piece.encode())
