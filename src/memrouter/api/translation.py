"""How the answer of another API is made from a chat completion, piece by piece."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import msgspec

from memrouter.api.errors import error_body, error_status
from memrouter.errors import UpstreamError
from memrouter.upstream.headers import NO_BODY
from memrouter.upstream.pieces import Failure, Piece, PieceReader

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]

_EVENT_STREAM: Final = b"text/event-stream; charset=utf-8"
_JSON: Final = b"application/json"
_REPLACED: Final = frozenset(
    {b"content-type", b"content-length", b"content-encoding", b"transfer-encoding", b"request-id"}
)


class Translation(ABC):
    """Turns one chat completion, streamed or not, or the backend's error, into another API's answer.

    Called in the order ``start``, ``feed`` for each piece, then one of ``end`` and ``broken``. Every call is quick and
    without I/O. It never raises for what a backend sends: what cannot be read becomes an error in the API's form.

    Args:
        stream: Whether the client wants events.

    Attributes:
        status: HTTP status of the answer; final once ``end`` or ``broken`` has returned, or at once for a stream.
        failure: Why there is no whole answer; None where there is one.
    """

    def __init__(self, *, stream: bool) -> None:
        self.status = 200
        self.failure: Failure | None = None
        self._stream = stream
        self._reader = PieceReader(status=200, is_stream=stream)

    @property
    def waits(self) -> bool:
        """Return whether the answer is written whole at its end, and its status is not known before."""
        return not self._stream

    def start(self, status: int, headers: RawHeaders) -> list[tuple[bytes, bytes]]:
        """Return the headers of the answer.

        Args:
            status: HTTP status of the backend.
            headers: End-to-end headers of the backend, names in lower case.
        """
        sse = any(name == b"content-type" and value.lower().startswith(b"text/event-stream") for name, value in headers)
        # A body behind a status without one would be read as the next answer.
        self.status = HTTPStatus.BAD_GATEWAY if status in NO_BODY else status
        self._stream = self._stream and status == HTTPStatus.OK
        self._reader = PieceReader(status=status, is_stream=sse)
        kept = [pair for pair in headers if pair[0] not in _REPLACED]
        return [*kept, (b"content-type", _EVENT_STREAM if self._stream else _JSON)]

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes of the backend's body; return what goes to the client now, empty for nothing yet."""
        return self._sent(self._taken(self._reader.feed(chunk)))

    def end(self) -> bytes:
        """Return what is left to send once the backend's body is complete."""
        return self._ended(self._reader.end())

    def broken(self, error: UpstreamError, *, request_id: str) -> bytes:
        """Return what is left to send where the backend broke off.

        Args:
            error: What happened; it may name servers that are none of the client's business.
            request_id: Named to the client.
        """
        message: str = error_body(error, request_id=request_id)["error"]["message"]
        return self._ended([Failure(error_status(error), message, "server_error")])

    @abstractmethod
    def take(self, piece: Piece) -> Iterable[bytes]:
        """Note what a piece says, and return the events for it; no ``Failure`` comes here."""

    @abstractmethod
    def finish(self) -> Iterable[bytes]:
        """Return the events that end the answer, however it went."""

    @abstractmethod
    def whole(self) -> object:
        """Return the answer, ready for JSON, or the error where there is a ``failure``; ``status`` goes with it."""

    def _ended(self, pieces: Iterable[Piece]) -> bytes:
        events = [*self._taken(pieces), *self.finish()]
        if self._stream:
            return b"".join(events)
        if self.failure is not None and self.status == HTTPStatus.OK:
            self.status = HTTPStatus.BAD_GATEWAY if self.failure.status == HTTPStatus.OK else self.failure.status
        return msgspec.json.encode(self.whole())

    def _sent(self, events: Iterable[bytes]) -> bytes:
        said = list(events)
        return b"".join(said) if self._stream else b""

    def _taken(self, pieces: Iterable[Piece]) -> Iterator[bytes]:
        for piece in pieces:
            if self.failure is not None:
                return
            if isinstance(piece, Failure):
                self.failure = piece
            else:
                yield from self.take(piece)


def event(kind: str, data: Mapping[str, Any]) -> bytes:
    """Return a server-sent event; its data is JSON."""
    return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


def token_count(value: object) -> int:
    """Return a number of tokens as a backend gave it; 0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
