"""A router's refusal as the error that the library itself would raise."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from memrouter.errors import (
    BodyTooLarge,
    DamagedData,
    EmbeddingError,
    Forbidden,
    InvalidRequest,
    MemrouterError,
    NotFound,
    Overloaded,
    RateLimited,
    RouterFailed,
    StoreUnavailable,
    Unauthenticated,
)

MAX_WAIT_SECONDS: Final = 3600
"""Longest wait that a ``retry-after`` is believed to ask for."""
_SHOWN_CHARS: Final = 500
_LINE: Final = re.compile(r"line (?P<number>[0-9]{1,15}): (?P<reason>.*)", re.DOTALL)


class _Detail(msgspec.Struct):
    message: str = ""
    code: str | None = None
    param: str | None = None


class _Body(msgspec.Struct):
    error: _Detail


def error_of(status: int, body: bytes, headers: Mapping[str, str]) -> MemrouterError:
    """Return the error for an answer whose status is not one of success.

    Args:
        status: HTTP status.
        body: As received; what is not an error of memrouter's form says nothing but the status.
        headers: Of the answer, names in any case that ``headers.get`` finds in lower case.
    """
    try:
        detail = msgspec.json.decode(body, type=_Body).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return RouterFailed(
            f"status {status}, and no answer of memrouter: it is something else, or something in front of it refused",
            status=status,
            code="",
        )
    message, code, param = detail.message[:_SHOWN_CHARS], detail.code or "", detail.param
    match status, code:
        case 401, _:
            return Unauthenticated(message, code=code, param=param, challenge=headers.get("www-authenticate", ""))
        case 403, _:
            return Forbidden(message, code=code, param=param)
        case 404, "not_found":
            return NotFound(message, code=code, param=param)
        case 413, _:
            return BodyTooLarge(message, code=code, param=param)
        case 422, "damaged_data":
            return _damaged(message)
        case 429, _:
            return RateLimited(message, retry_after=max(1, round(retry_after(headers) or 1)))
        case 503, "embedding_failed":
            return EmbeddingError(message)
        case 503, "store_unavailable":
            return StoreUnavailable(message)
        case 503, "overloaded":
            return Overloaded(message, code=code)
        case 400, _:
            return InvalidRequest(message, code=code, param=param)
        case _:
            return RouterFailed(f"status {status}: {message}", status=status, code=code)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a router asks to wait; None where it names none, or a date."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(seconds, MAX_WAIT_SECONDS) if seconds >= 0 else None


def _damaged(message: str) -> DamagedData | InvalidRequest:
    found = _LINE.fullmatch(message)
    if found is None:
        return InvalidRequest(message, code="damaged_data")
    return DamagedData(int(found["number"]), found["reason"])
