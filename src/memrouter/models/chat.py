"""A chat completions request as the client sent it, and edits to it that leave every other byte alone.

The body is never re-serialised: it is read through spans, and plugins splice into it. What no plugin touched reaches
the model server byte for byte.
"""

import re
from typing import NamedTuple

import msgspec

from memrouter.errors import InvalidRequest

_BLANK = rb"[ \t\r\n]*"
_KEY = re.compile(_BLANK + rb",?" + _BLANK + rb'("[^"\\]*(?:\\.[^"\\]*)*")' + _BLANK + rb":" + _BLANK, re.DOTALL)
_ITEM = re.compile(_BLANK + rb",?" + _BLANK)
_OPEN = re.compile(_BLANK + rb"[\[{]")
_NULL = msgspec.Raw(b"null")
_PATH = re.compile(r" - at `\$(?P<path>[^`]*)`$")

SYSTEM_ROLES = frozenset({"system", "developer"})


class Span(NamedTuple):
    """Half-open byte range of a JSON value in the body."""

    start: int
    end: int


class _Part(msgspec.Struct):
    type: str = ""
    text: str | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: msgspec.Raw = _NULL


class _Head(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    tools: list[msgspec.Raw] | None = None
    user: msgspec.Raw = _NULL


_HEAD = msgspec.json.Decoder(_Head)
_RAW_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_RAW_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODER = msgspec.json.Encoder()


class ChatMessage(msgspec.Struct, frozen=True):
    """One message of the request.

    Attributes:
        role: As sent.
        text: Its words: the content string, or the text parts joined by line ends; empty if there are none.
        images: Number of image parts.
        has_tool_calls: Whether it asks for tools.
        span: Where it stands in the body.
    """

    role: str
    text: str
    images: int
    has_tool_calls: bool
    span: Span


class ChatRequest(msgspec.Struct, frozen=True):
    """A checked chat completions body.

    Attributes:
        body: The bytes as received.
        model: The model that the client named.
        stream: Whether the client asked for server-sent events.
        messages: At least one.
        tool_count: Number of tools the request defines.
        model_span: Where the model's name stands in the body.
        user: What the client says about its user, where that is text; proves nothing.
    """

    body: bytes
    model: str
    stream: bool
    messages: tuple[ChatMessage, ...]
    tool_count: int
    model_span: Span
    user: str | None = None

    @classmethod
    def parse(cls, body: bytes) -> "ChatRequest":
        """Return the request behind a body.

        Raises:
            InvalidRequest: Not UTF-8, not JSON, a field of the wrong type, a key given twice, no message.
        """
        head = _decode_head(body)
        if not head.model:
            raise InvalidRequest("model is empty; name a model, or auto", param="model")
        if not head.messages:
            raise InvalidRequest("messages is empty; at least one message is needed", param="messages")
        fields = object_spans(body, Span(0, len(body)))
        spans = array_spans(body, fields["messages"])
        return cls(
            body=body,
            model=head.model,
            stream=bool(head.stream),
            messages=tuple(_message(wire, span) for wire, span in zip(head.messages, spans, strict=True)),
            tool_count=len(head.tools or ()),
            model_span=fields["model"],
            user=_text(head.user),
        )

    @property
    def last_user_index(self) -> int | None:
        """Return the index of the last message with role ``user``, or None."""
        return next((i for i in range(len(self.messages) - 1, -1, -1) if self.messages[i].role == "user"), None)

    @property
    def query(self) -> str:
        """Return the text of the last user message; empty if there is none."""
        index = self.last_user_index
        return "" if index is None else self.messages[index].text


def _decode_head(body: bytes) -> _Head:
    try:
        body.decode()
        return _HEAD.decode(body)
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"the body is not UTF-8 (byte {error.start})", code="invalid_encoding", param="body"
        ) from error
    except msgspec.ValidationError as error:
        message, param = _explain(error)
        raise InvalidRequest(message, code="invalid_type", param=param) from error
    except (msgspec.DecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidRequest(f"the body is not valid JSON: {reason}", code="invalid_json", param="body") from error


def _explain(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return a message and the field at fault for a type error."""
    text = str(error)
    place = _PATH.search(text)
    reason = text[: place.start()] if place else text
    path = place["path"].lstrip(".") if place else ""
    missing = re.search(r"missing required field `(?P<name>\w+)`", reason)
    if missing:
        path = f"{path}.{missing['name']}".lstrip(".")
    return f"{path or 'body'}: {reason}", path or "body"


def _text(value: msgspec.Raw) -> str | None:
    """Return a JSON value that is text; None for any other."""
    if value == _NULL:
        return None
    try:
        return _TEXT.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _message(wire: _Message, span: Span) -> ChatMessage:
    parts = wire.content if isinstance(wire.content, list) else []
    text = (
        wire.content
        if isinstance(wire.content, str)
        else "\n".join(part.text for part in parts if part.text is not None)
    )
    return ChatMessage(
        role=wire.role,
        text=text,
        images=sum(part.type in ("image_url", "input_image", "image") for part in parts),
        has_tool_calls=bytes(wire.tool_calls) not in (b"null", b"[]"),
        span=span,
    )


def object_spans(body: bytes, whole: Span) -> dict[str, Span]:
    """Return where each value of the JSON object at ``whole`` stands.

    Args:
        body: UTF-8; what stands at ``whole`` must be a valid JSON object, white space around it allowed.

    Raises:
        InvalidRequest: A key occurs twice, which servers read in different ways.
    """
    position = _after_bracket(body, whole)
    spans: dict[str, Span] = {}
    for name, raw in _RAW_OBJECT.decode(body[whole.start : whole.end]).items():
        value = bytes(raw)
        key = _KEY.match(body, position)
        found = name if key is None else _TEXT.decode(key[1])
        if key is None or found != name or not body.startswith(value, key.end()):
            raise InvalidRequest("a key occurs twice in one object", code="duplicate_key", param=found)
        position = key.end() + len(value)
        spans[name] = Span(key.end(), position)
    if again := _KEY.match(body, position):
        raise InvalidRequest("a key occurs twice in one object", code="duplicate_key", param=_TEXT.decode(again[1]))
    return spans


def array_spans(body: bytes, whole: Span) -> list[Span]:
    """Return where each item of the valid JSON array at ``whole`` stands."""
    position = _after_bracket(body, whole)
    spans = []
    for raw in _RAW_ARRAY.decode(body[whole.start : whole.end]):
        separator = _ITEM.match(body, position)
        start = separator.end() if separator else position
        position = start + len(bytes(raw))
        spans.append(Span(start, position))
    return spans


def _after_bracket(body: bytes, whole: Span) -> int:
    opening = _OPEN.match(body, whole.start)
    return opening.end() if opening else whole.start


class ChatDraft(msgspec.Struct):
    """The outgoing body: the request plus the edits that plugins make.

    Indexes always mean the client's own messages. Edits at the same place keep the order in which they were made.
    """

    request: ChatRequest
    _edits: list[tuple[int, int, bytes]] = []

    def set_model(self, name: str) -> None:
        """Send ``name`` as the model."""
        if name != self.request.model:
            self._splice(self.request.model_span, _ENCODER.encode(name))

    def insert_message(self, index: int, role: str, content: str) -> None:
        """Put a new message in front of message ``index``; an index past the last one appends."""
        new = _ENCODER.encode({"role": role, "content": content})
        messages = self.request.messages
        if index < len(messages):
            place = messages[index].span.start
            self._edits.append((place, place, new + b","))
        else:
            place = messages[-1].span.end
            self._edits.append((place, place, b"," + new))

    def replace_message(self, index: int, role: str, content: str) -> None:
        """Put a new message in the place of message ``index``."""
        self._splice(self.request.messages[index].span, _ENCODER.encode({"role": role, "content": content}))

    def remove_message(self, index: int) -> None:
        """Leave message ``index`` out, with the comma in front of it; not for the first message."""
        before, gone = self.request.messages[index - 1 : index + 1]
        self._edits.append((before.span.end, gone.span.end, b""))

    def prepend_text(self, index: int, text: str) -> None:
        """Put ``text`` in front of the words of message ``index``, as text or as a first text part."""
        message = self.request.messages[index].span
        span = object_spans(self.request.body, message).get("content")
        value = self.request.body[span.start : span.end] if span else b"null"
        if span is None or value == b"null":
            start = self.request.body.index(b"{", message.start) + 1
            if span is None:
                self._edits.append((start, start, b'"content":' + _ENCODER.encode(text) + b","))
            else:
                self._splice(span, _ENCODER.encode(text))
        elif value.startswith(b'"'):
            # Splice inside the string, so that the client's own escapes stay as they are.
            self._edits.append((span.start + 1, span.start + 1, _ENCODER.encode(text)[1:-1]))
        else:
            part = _ENCODER.encode({"type": "text", "text": text})
            comma = b"," if array_spans(self.request.body, span) else b""
            self._edits.append((span.start + 1, span.start + 1, part + comma))

    def render(self) -> bytes:
        """Return the outgoing body; the client's own bytes object where nothing was edited."""
        if not self._edits:
            return self.request.body
        pieces: list[bytes] = []
        position = 0
        for start, end, new in sorted(self._edits, key=lambda edit: edit[0]):
            pieces += (self.request.body[position:start], new)
            position = max(position, end)
        pieces.append(self.request.body[position:])
        return b"".join(pieces)

    def _splice(self, span: Span, new: bytes) -> None:
        self._edits.append((span.start, span.end, new))
