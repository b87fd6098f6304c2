"""Writes an answer of the Responses API while the model speaks: as events, or whole at its end. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from memrouter.api.responses.reply import (
    INCOMPLETE,
    Answer,
    Json,
    call_item,
    message_item,
    reasoning_item,
    reasoning_part,
    refusal_part,
    text_part,
    usage_of,
)
from memrouter.api.translation import Translation, event
from memrouter.upstream.pieces import Failure, Finish, Model, Piece, ToolCall, Usage, Words

_NAMES: Final = {"text": "output_text", "refusal": "refusal", "reasoning": "reasoning_text"}
"""Names of the parts in events."""
_PARTS: Final = {"text": text_part, "refusal": refusal_part, "reasoning": reasoning_part}
_LOGPROBS: Final[Mapping[str, Json]] = {"text": {"logprobs": []}, "refusal": {}, "reasoning": {}}


class ResponsesTranslation(Translation):
    """Writes the answer to one request to ``/v1/responses``.

    Args:
        answer: The answer that is written; it is whole once the exchange is over.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(stream=answer.request.stream)
        self._answer = answer
        self._events = _Events(answer)

    def take(self, piece: Piece) -> Iterator[bytes]:
        """See ``Translation.take``."""
        return self._events.take(piece)

    def finish(self) -> Iterator[bytes]:
        """See ``Translation.finish``."""
        if self.failure is not None:
            self._answer.fail(_code(self.failure), self.failure.message)
        return self._events.finish()

    def whole(self) -> Json:
        """See ``Translation.whole``."""
        if self.failure is None:
            return self._answer.render()
        kind = self.failure.kind or "upstream_error"
        error = {"message": self.failure.message, "type": kind, "code": _code(self.failure), "param": None}
        return {"error": error}


class _Events:
    """Takes pieces and gives the events for them; keeps the answer up to date."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._number = 0
        self._begun = False
        self._kind = ""
        self._item: Json = {}
        self._parts: list[Json] = []
        self._text: list[str] = []
        self._call: int | None = None
        self._finish_reason: str | None = None

    def take(self, piece: Piece) -> Iterator[bytes]:
        if isinstance(piece, Model):
            self._answer.model = piece.name
        yield from self._begin()
        if isinstance(piece, Words):
            yield from self._words(piece)
        elif isinstance(piece, ToolCall):
            yield from self._tool_call(piece)
        elif isinstance(piece, Finish):
            self._finish_reason = piece.reason
        elif isinstance(piece, Usage):
            self._answer.usage = usage_of(piece.counts)

    def finish(self) -> Iterator[bytes]:
        """Return the events that end the answer, however it went."""
        yield from self._begin()
        cut = self._answer.status == "failed" or self._finish_reason in INCOMPLETE
        yield from self._close_item("incomplete" if cut else "completed")
        if self._answer.status == "in_progress":
            self._answer.close(self._finish_reason)
        yield self._event(f"response.{self._answer.status}", response=self._answer.render())

    def _begin(self) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            yield self._event("response.created", response=self._answer.render())
            yield self._event("response.in_progress", response=self._answer.render())

    def _words(self, piece: Words) -> Iterator[bytes]:
        wanted = "reasoning" if piece.kind == "reasoning" else "message"
        if self._item.get("type") != wanted:
            yield from self._close_item()
            if wanted == "reasoning":
                self._item = reasoning_item(self._answer.new_id("rs"), (), status="in_progress")
            else:
                self._item = message_item(self._answer.new_id("msg"), (), status="in_progress")
            yield self._event("response.output_item.added", output_index=self._index, item=self._item)
        if self._kind != piece.kind:
            yield from self._close_part()
            self._kind = piece.kind
            yield self._part_event("response.content_part.added", part=_PARTS[piece.kind](""))
        self._text.append(piece.text)
        yield self._part_event(f"response.{_NAMES[piece.kind]}.delta", delta=piece.text, **_LOGPROBS[piece.kind])

    def _tool_call(self, piece: ToolCall) -> Iterator[bytes]:
        if self._item.get("type") != "function_call" or self._call != piece.index:
            yield from self._close_item()
            self._call = piece.index
            call_id = piece.id or self._answer.new_id("call")
            self._item = call_item(
                self._answer.new_id("fc"), call_id=call_id, name=piece.name, arguments="", status="in_progress"
            )
            yield self._event("response.output_item.added", output_index=self._index, item=self._item)
        if piece.arguments:
            self._text.append(piece.arguments)
            yield self._event(
                "response.function_call_arguments.delta",
                item_id=self._item["id"],
                output_index=self._index,
                delta=piece.arguments,
            )

    def _close_part(self) -> Iterator[bytes]:
        kind, text = self._kind, "".join(self._text)
        if not kind:
            return
        self._kind, self._text = "", []
        said, part = {"refusal" if kind == "refusal" else "text": text}, _PARTS[kind](text)
        yield self._part_event(f"response.{_NAMES[kind]}.done", **said, **_LOGPROBS[kind])
        yield self._part_event("response.content_part.done", part=part)
        self._parts.append(part)

    def _close_item(self, status: str = "completed") -> Iterator[bytes]:
        if not self._item:
            return
        if self._item["type"] == "function_call":
            arguments = "".join(self._text)
            self._text = []
            self._item = {**self._item, "arguments": arguments}
            yield self._event(
                "response.function_call_arguments.done",
                item_id=self._item["id"],
                output_index=self._index,
                arguments=arguments,
                name=self._item["name"],
            )
        else:
            yield from self._close_part()
            self._item = {**self._item, "content": self._parts}
        item = {**self._item, "status": status}
        yield self._event("response.output_item.done", output_index=self._index, item=item)
        self._answer.output.append(item)
        self._item, self._parts, self._call = {}, [], None

    @property
    def _index(self) -> int:
        return len(self._answer.output)

    def _part_event(self, kind: str, **more: Any) -> bytes:
        content_index = len(self._parts)
        return self._event(
            kind, item_id=self._item["id"], output_index=self._index, content_index=content_index, **more
        )

    def _event(self, kind: str, **more: Any) -> bytes:
        number = self._number
        self._number += 1
        return event(kind, {"type": kind, "sequence_number": number, **more})


def _code(failure: Failure) -> str:
    return "rate_limit_exceeded" if failure.status == 429 else "server_error"
