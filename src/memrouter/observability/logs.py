"""Structured logs: one JSON object a line, with the id of the request that was being served.

Tracebacks show where something failed and what kind of error it was. The message of a foreign exception is left out,
because validators and drivers like to quote their input, and no user's text may reach a log.
"""

import json
import logging
import math
import sys
import traceback
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from typing import Final, TextIO

import msgspec

from memrouter.errors import MemrouterError

MAX_TEXT_CHARS: Final = 8192

_ENCODER: Final = msgspec.json.Encoder()
_REQUEST_ID: ContextVar[str | None] = ContextVar("memrouter_request_id", default=None)
_TRACE: ContextVar[tuple[str, str] | None] = ContextVar("memrouter_trace", default=None)
MUST_BE_WRITTEN: Final = "must_be_written"
"""Extra field of a record without which what it tells of must not happen."""
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
    "taskName",
    MUST_BE_WRITTEN,
}
_SERVERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "aiohttp.server", "aiohttp.client", "aiohttp.web")
_FOREIGN_ACCESS_LOGS: Final = ("uvicorn.access", "aiohttp.access")
_REPEATING: Final = ("opentelemetry",)
"""Loggers that say for every batch of traces what the router says once."""
_QUOTING: Final = ("mcp", "sse_starlette")
"""Loggers that quote whole messages, which hold users' texts, where they are asked for everything."""


def bind_request_id(request_id: str) -> Token[str | None]:
    """Put ``request_id`` on every record that this task and the tasks it starts will log."""
    return _REQUEST_ID.set(request_id)


def release_request_id(token: Token[str | None]) -> None:
    """Undo a ``bind_request_id`` of the same task."""
    _REQUEST_ID.reset(token)


def bind_trace(trace_id: str, span_id: str) -> Token[tuple[str, str] | None]:
    """Put both ids, in hexadecimal digits, on every record that this task and the tasks it starts will log."""
    return _TRACE.set((trace_id, span_id))


def release_trace(token: Token[tuple[str, str] | None]) -> None:
    """Undo a ``bind_trace`` of the same task."""
    _TRACE.reset(token)


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes records to a stream; one with the extra field ``must_be_written`` raises where that fails."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name in the standard library
        """See ``logging.Handler``."""
        error = sys.exception()
        if error is not None and hasattr(record, MUST_BE_WRITTEN):
            raise error
        super().handleError(record)


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON and never raises.

    Extra fields are kept where they are numbers, text, booleans or None; of anything else only the type's name is
    written. Control characters and everything beyond ASCII are escaped, so that a record is always one line.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        fields: dict[str, object] = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record)[:MAX_TEXT_CHARS],
        }
        request_id = _REQUEST_ID.get()
        if request_id is not None:
            fields["request_id"] = request_id
        trace = _TRACE.get()
        if trace is not None:
            fields["trace_id"], fields["span_id"] = trace
        for name, value in vars(record).items():
            if name not in _STANDARD:
                fields.setdefault(str(name), _plain(value))
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = describe_failure(record.exc_info[1])[:MAX_TEXT_CHARS]
        return _json(fields)


def _json(fields: dict[str, object]) -> str:
    """Return fields as JSON of ASCII characters; nearly all are such, and written by the faster encoder."""
    try:
        return _ENCODER.encode(fields).decode("ascii")
    except UnicodeError:
        return json.dumps(fields, separators=(",", ":"))


def describe_failure(error: BaseException) -> str:
    """Return the traceback of an error and of its causes, without the message of any error that is not ours."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        kind = f"{type(current).__module__}.{type(current).__qualname__}"
        own = f": {current}" if isinstance(current, MemrouterError) else ""
        parts.append("".join(traceback.format_tb(current.__traceback__)) + kind + own)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\ncaused by:\n".join(parts)


def configure_logging(level: str, stream: TextIO) -> None:
    """Send all records of this process to ``stream`` as JSON lines.

    The servers' own loggers go the same way; their access logs are switched off, since they hold query strings.
    Calling it again replaces what an earlier call did.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        stream: Where the lines go; it stays the caller's.
    """
    handler = LogHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _SERVERS:
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = True
        server.setLevel(logging.NOTSET)
    for name in _QUOTING:
        logging.getLogger(name).setLevel(max(root.level, logging.INFO))
    for name in _REPEATING:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in _FOREIGN_ACCESS_LOGS:
        logging.getLogger(name).disabled = True


def _timestamp(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"
    except (ValueError, OverflowError, OSError):
        return ""


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - whatever an argument's __str__ raises, the record must still be written
        return f"{record.msg!s} (arguments that do not fit)" if isinstance(record.msg, str) else "(unprintable message)"


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool) or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return str(value)[:MAX_TEXT_CHARS]
    return f"({type(value).__name__})"
