"""Writes an answer of the Messages API while the model speaks: as events, or whole at its end. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from memrouter.api.messages.chat_body import Json
from memrouter.api.messages.errors import REQUEST_ID_HEADER, error_object, status_of
from memrouter.api.translation import RawHeaders, Translation, event, token_count
from memrouter.upstream.pieces import Failure, Finish, Model, Piece, ToolCall, Usage, Words

_STOPS: Final = {
    "stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "function_call": "tool_use",
    "content_filter": "refusal",
}  # fmt: skip
"""Why the model stopped, by its finish reason."""


@dataclass(slots=True)
class Message:
    """One answer as it grows.

    Attributes:
        id: Its id.
        model: The model that the client named, then the one that answers.
        content: Blocks that are finished.
        stop_reason: Why the model stopped; None while it speaks.
        stop_sequence: The client's text that made it stop, where the backend says so.
        usage: Tokens.
    """

    id: str
    model: str
    content: list[Json] = field(default_factory=list)
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Json = field(default_factory=lambda: {"input_tokens": 0, "output_tokens": 0})

    def render(self) -> Json:
        """Return the object as it stands."""
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": list(self.content),
            "stop_reason": self.stop_reason,
            "stop_sequence": self.stop_sequence,
            "usage": dict(self.usage),
        }


class MessagesTranslation(Translation):
    """Writes the answer to one request to ``/v1/messages``.

    Args:
        message: The answer that is written.
        stream: Whether events are wanted.
        stops: The client's stop sequences.
        request_id: Named in the answer's header and in errors.
    """

    def __init__(self, message: Message, *, stream: bool, stops: Collection[str], request_id: str) -> None:
        super().__init__(stream=stream)
        self._message = message
        self._request_id = request_id
        self._blocks = _Blocks(message, stops)

    def start(self, status: int, headers: RawHeaders) -> list[tuple[bytes, bytes]]:
        """See ``Translation.start``."""
        return [*super().start(status, headers), (REQUEST_ID_HEADER.encode(), self._request_id.encode())]

    def take(self, piece: Piece) -> Iterator[bytes]:
        """See ``Translation.take``."""
        return self._blocks.take(piece)

    def finish(self) -> Iterator[bytes]:
        """See ``Translation.finish``."""
        if self.failure is None:
            yield from self._blocks.finish()
        else:
            yield from self._blocks.close()
            yield event("error", self._error(self.failure))

    def whole(self) -> Json:
        """See ``Translation.whole``."""
        if self.failure is None:
            return self._message.render()
        self.status = status_of(self.status)
        return self._error(self.failure)

    def _error(self, failure: Failure) -> Json:
        status = status_of(failure.status if failure.status >= 400 else 500)
        return error_object(status, failure.message, request_id=self._request_id)


class _Blocks:
    """Takes pieces and gives the events for them; keeps the message up to date."""

    def __init__(self, message: Message, stops: Collection[str]) -> None:
        self._message = message
        self._stops = stops
        self._begun = False
        self._refused = False
        self._kind = ""
        self._call: int | None = None
        self._block: Json = {}
        self._text: list[str] = []

    def take(self, piece: Piece) -> Iterator[bytes]:
        if isinstance(piece, Model):
            self._message.model = piece.name
        elif isinstance(piece, Words):
            yield from self._words(piece)
        elif isinstance(piece, ToolCall):
            yield from self._tool_call(piece)
        elif isinstance(piece, Finish):
            self._stop(piece)
        elif isinstance(piece, Usage):
            self._message.usage = _usage(piece.counts)

    def finish(self) -> Iterator[bytes]:
        """Return the events that end the message."""
        yield from self.close()
        yield from self._begin()
        if self._message.stop_reason is None:
            self._message.stop_reason = "end_turn"
        delta = {"stop_reason": self._message.stop_reason, "stop_sequence": self._message.stop_sequence}
        yield event("message_delta", {"type": "message_delta", "delta": delta, "usage": dict(self._message.usage)})
        yield event("message_stop", {"type": "message_stop"})

    def _stop(self, piece: Finish) -> None:
        reason = _STOPS.get(piece.reason, "end_turn")
        if reason == "end_turn" and piece.stop in self._stops:
            self._message.stop_sequence = piece.stop
            reason = "stop_sequence"
        self._message.stop_reason = "refusal" if reason == "end_turn" and self._refused else reason

    def _begin(self) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            yield event("message_start", {"type": "message_start", "message": self._message.render()})
            yield event("ping", {"type": "ping"})

    def _words(self, piece: Words) -> Iterator[bytes]:
        kind = "thinking" if piece.kind == "reasoning" else "text"
        self._refused = self._refused or piece.kind == "refusal"
        if self._kind != kind:
            empty = {"type": "thinking", "thinking": "", "signature": ""} if kind == "thinking" else _text_block("")
            yield from self._open(kind, empty)
        self._text.append(piece.text)
        yield from self._delta({"type": f"{kind}_delta", kind: piece.text})

    def _tool_call(self, piece: ToolCall) -> Iterator[bytes]:
        if self._kind != "tool_use" or self._call != piece.index:
            call_id = piece.id or f"toolu_{self._message.id.removeprefix('msg_')}_{piece.index}"
            block = {"type": "tool_use", "id": call_id, "name": piece.name, "input": {}}
            yield from self._open("tool_use", block)
            self._call = piece.index
        if piece.arguments:
            self._text.append(piece.arguments)
            yield from self._delta({"type": "input_json_delta", "partial_json": piece.arguments})

    def _open(self, kind: str, block: Json) -> Iterator[bytes]:
        yield from self._begin()
        yield from self.close()
        self._kind, self._block = kind, block
        index = len(self._message.content)
        yield event(
            "content_block_start", {"type": "content_block_start", "index": index, "content_block": self._block}
        )

    def _delta(self, delta: Json) -> Iterator[bytes]:
        index = len(self._message.content)
        yield event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})

    def close(self) -> Iterator[bytes]:
        """Return the event that ends the open block, if there is one."""
        if not self._kind:
            return
        text = "".join(self._text)
        if self._kind == "tool_use":
            block = {**self._block, "input": _input(text)}
        else:
            block = {**self._block, self._kind: text}
        yield event("content_block_stop", {"type": "content_block_stop", "index": len(self._message.content)})
        self._message.content.append(block)
        self._kind, self._block, self._text, self._call = "", {}, [], None


def _text_block(text: str) -> Json:
    return {"type": "text", "text": text}


def _input(arguments: str) -> Json:
    """Return a call's arguments; what is no JSON object stands under ``arguments``, so that nothing is lost."""
    try:
        value = msgspec.json.decode(arguments or "{}")
    except (ValueError, RecursionError):
        return {"arguments": arguments}
    return value if isinstance(value, dict) else {"arguments": value}


def _usage(counts: Mapping[str, Any]) -> Json:
    details = counts.get("prompt_tokens_details")
    cached = token_count(details.get("cached_tokens")) if isinstance(details, dict) else 0
    return {
        "input_tokens": max(0, token_count(counts.get("prompt_tokens")) - cached),
        "output_tokens": token_count(counts.get("completion_tokens")),
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
    }
