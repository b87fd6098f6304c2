"""A chat completion, streamed or not, as the pieces that it says; for APIs that answer in another form."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from memrouter.upstream.sse import SseParser

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""Largest answer that is read: of a stream its words, otherwise its body."""
MAX_EVENT_BYTES: Final = 8 * 1024 * 1024
"""Largest event of a stream."""

_DONE: Final = "[DONE]"


@dataclass(frozen=True, slots=True)
class Words:
    """Words of the answer: ``text``, ``reasoning`` or ``refusal``."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A part of a call of a function.

    Attributes:
        index: Which call of the answer, from 0; a call is whole once the next one has begun.
        id: Given with its first part.
        name: Given with its first part.
        arguments: The next characters of its JSON.
    """

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The model has finished.

    Attributes:
        reason: Why.
        stop: The stop sequence that ended it, where the backend says so.
    """

    reason: str
    stop: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the backend sent them."""

    counts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """Name of the model that answers."""

    name: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The backend says that there is no answer.

    Attributes:
        status: HTTP status; 200 where the error came in the middle of an answer.
        message: What the backend says of it.
        kind: Its ``type`` or ``code``; empty where it gives none.
    """

    status: int
    message: str
    kind: str = ""


Piece: TypeAlias = Words | ToolCall | Finish | Usage | Model | Failure


class PieceReader:
    """Reads one answer. It never raises for what a backend sends, and is bounded.

    Args:
        status: HTTP status of the backend.
        is_stream: Whether the body is a stream of server-sent events.
    """

    def __init__(self, *, status: int, is_stream: bool) -> None:
        self._status = status
        self._sse = SseParser(max_event_bytes=MAX_EVENT_BYTES) if is_stream and status == 200 else None
        self._body = bytearray()
        self._size = 0
        self._model = ""
        self._finished = False
        self._calls = _Calls()

    def feed(self, chunk: bytes) -> list[Piece]:
        """Return what the next bytes of the body say."""
        if self._sse is not None:
            return [piece for event in self._sse.feed(chunk) for piece in self._counted(event.data)]
        self._size += len(chunk)
        if self._size > MAX_BODY_BYTES:
            self._body = bytearray()
        else:
            self._body += chunk
        return []

    def end(self) -> list[Piece]:
        """Return what is left once the body is complete."""
        if self._size > MAX_BODY_BYTES:
            return [_too_large(MAX_BODY_BYTES)]
        if self._sse is not None:
            return self._missing(self._sse)
        pieces = list(self._read(bytes(self._body)))
        if self._status != 200 and not any(isinstance(piece, Failure) for piece in pieces):
            return [Failure(self._status, f"the model server answered with status {self._status}")]
        said = any(isinstance(piece, Words | ToolCall | Finish | Failure) for piece in pieces)
        return pieces if said else [Failure(502, "the model server's answer is not a chat completion")]

    def _missing(self, sse: SseParser) -> list[Piece]:
        """Return what a stream failed to say."""
        if sse.dropped:
            return [_too_large(MAX_EVENT_BYTES)]
        return [] if self._finished else [Failure(502, "the model server's answer ended before it was finished")]

    def _counted(self, data: str) -> Iterator[Piece]:
        """Read one event, as long as the words are not too many."""
        for piece in self._read(data):
            if isinstance(piece, Words):
                self._size += len(piece.text)
            elif isinstance(piece, ToolCall):
                self._size += len(piece.arguments)
            if self._size <= MAX_BODY_BYTES:
                yield piece

    def _read(self, data: str | bytes) -> Iterator[Piece]:
        if data == _DONE:
            self._finished = True
            return
        try:
            said = msgspec.json.decode(data)
        except (ValueError, RecursionError):
            return
        if not isinstance(said, dict):
            return
        if said.get("error") is not None:
            self._finished = True
            yield _failure(said["error"], self._status)
            return
        if self._status != 200 and isinstance(said.get("message"), str):
            yield Failure(self._status, said["message"], _text(said.get("type")))
            return
        model = _text(said.get("model"))
        if model and not self._model:
            self._model = model
            yield Model(model)
        choices = said.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):
                yield from self._choice(choice)
        if isinstance(said.get("usage"), dict):
            yield Usage(said["usage"])

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[Piece]:
        message = choice.get("delta") or choice.get("message")
        if isinstance(message, dict):
            yield from _words(message)
            calls = message.get("tool_calls")
            for position, call in enumerate(calls if isinstance(calls, list) else ()):
                if isinstance(call, dict):
                    yield self._calls.take(call, position)
        reason = _text(choice.get("finish_reason"))
        if reason:
            self._finished = True
            yield Finish(reason, _text(choice.get("stop_reason")))


class _Calls:
    """Numbers the calls of functions; some backends number each of them 0."""

    def __init__(self) -> None:
        self._count = 0
        self._given: tuple[int, str] | None = None

    def take(self, call: Mapping[str, Any], position: int) -> Piece:
        index, function = call.get("index"), call.get("function")
        spoken = function if isinstance(function, dict) else {}
        number, name, arguments = _text(call.get("id")), _text(spoken.get("name")), _text(spoken.get("arguments"))
        given = index if isinstance(index, int) else position
        if self._given is None or given > self._given[0] or (name and number not in ("", self._given[1])):
            self._given = (given, number)
            self._count += 1
        elif given < self._given[0]:
            return Failure(502, "the model server mixed the parts of several tool calls")
        return ToolCall(index=self._count - 1, id=number, name=name, arguments=arguments)


def _words(message: Mapping[str, Any]) -> Iterator[Words]:
    reasoning = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    said = {"reasoning": reasoning, "text": _content(message.get("content")), "refusal": _text(message.get("refusal"))}
    yield from (Words(kind, text) for kind, text in said.items() if text)


def _content(value: object) -> str:
    if isinstance(value, list):
        return "".join(_text(part.get("text")) for part in value if isinstance(part, dict))
    return _text(value)


def _failure(error: object, status: int) -> Failure:
    if isinstance(error, dict):
        kind = _text(error.get("type")) or _text(error.get("code"))
        return Failure(status, _text(error.get("message")) or "the model server failed", kind)
    return Failure(status, _text(error) or "the model server failed")


def _too_large(limit: int) -> Failure:
    return Failure(502, f"the model server's answer has a part of more than {limit} bytes")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
