"""Server-sent events, read incrementally as the WHATWG HTML standard says (section 9.2). Pure."""

from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"
_COMMENT = b":"
_MAX_RETRY_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event.

    Attributes:
        data: The data lines, joined by line feeds.
        event: Its type, ``message`` where none was given.
        id: The last event id seen so far in the stream.
    """

    data: str
    event: str = "message"
    id: str = ""


class SseParser:
    """Reads a stream in pieces of any size; how it is cut makes no difference.

    Args:
        max_event_bytes: Largest line, and largest sum of the data of one event; an event over it is dropped and
            counted, never buffered.

    Attributes:
        dropped: Number of events that were too large.
        retry: Reconnection time in milliseconds that the stream asked for last; None if it did not.
    """

    def __init__(self, *, max_event_bytes: int = 1024 * 1024) -> None:
        self.dropped = 0
        self.retry: int | None = None
        self._limit = max_event_bytes
        self._line = bytearray()
        self._after_cr = False
        self._first_line = True
        self._data: list[str] = []
        self._data_bytes = 0
        self._type = ""
        self._id = ""
        self._oversized = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that ``data`` completes, in order. Never raises."""
        if not data:
            return []
        start = 1 if self._after_cr and data[:1] == b"\n" else 0
        self._after_cr = data.endswith(b"\r")
        lines = data[start:].splitlines()
        rest = b"" if data.endswith((b"\r", b"\n")) else lines.pop()
        events = []
        for line in lines:
            self._extend(line)
            event = self._end_line()
            if event is not None:
                events.append(event)
        self._extend(rest)
        return events

    def _extend(self, piece: bytes) -> None:
        if self._oversized:
            # Whatever follows is skipped, but a line that has begun must not pass for the empty line that ends it.
            self._line += piece[:1] if not self._line else b""
        elif self._data_bytes + len(self._line) + len(piece) > self._limit:
            self._oversized = True
            self._line[:] = _COMMENT
            self._data.clear()
        else:
            self._line += piece

    def _end_line(self) -> Event | None:
        line = bytes(self._line)
        self._line.clear()
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        if not self._oversized:
            self._take_field(line)
        return None

    def _take_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value.decode(errors="replace"))
            self._data_bytes += len(value) + 1
        elif name == b"event":
            self._type = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            self.retry = int(value)

    def _dispatch(self) -> Event | None:
        event = Event("\n".join(self._data), self._type or "message", self._id) if self._data else None
        self.dropped += self._oversized
        self._oversized = False
        self._data.clear()
        self._data_bytes = 0
        self._type = ""
        return event
