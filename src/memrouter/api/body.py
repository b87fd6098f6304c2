"""Reading and checking request bodies; every fault names its field."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from memrouter.errors import BodyTooLarge, InvalidRequest

THREAD_FROM_BYTES: Final = 65_536
"""Size from which a body is decoded in a thread, so that the event loop goes on."""

DRAIN_FACTOR: Final = 4
"""Bodies up to this many times the limit are read to their end, and thrown away, before they are refused."""
DRAIN_SECONDS: Final = 1.0
"""Longest time that a body to be refused is read."""
MAX_LENGTH_DIGITS: Final = 20

_CODES: Final = {"json_invalid": "invalid_json", "extra_forbidden": "unknown_field", "missing": "missing_field"}
_MAX_PARAM_CHARS: Final = 128

F = TypeVar("F", bound=BaseModel)


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body of a request.

    A length that the client announces is believed only to refuse it; what arrives is counted. A body not much over
    the limit is still taken off the wire, so that the client can read why it was refused.

    Args:
        request: Its body must not have been read yet.
        limit: Most bytes.

    Raises:
        BodyTooLarge: The body is, or says that it is, longer than ``limit``.
        InvalidRequest: The Content-Length header is not a number.
    """
    announced = _announced_length(request.headers.get("content-length"))
    if announced > limit * DRAIN_FACTOR:
        raise _too_large(limit)
    pieces: list[bytes] = []
    size, more = 0, True
    while more and announced <= limit and size <= limit:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        size, more = size + len(pieces[-1]), message.get("more_body", False)
    if not more and size <= limit:
        return b"".join(pieces)
    if more:
        await _drain(request.stream(), limit * DRAIN_FACTOR)
    raise _too_large(limit)


class BodyStream:
    """The body of a request as it comes, never held whole; to be gone through once.

    Args:
        request: Its body must not have been read yet.
        limit: Most bytes.
    """

    def __init__(self, request: Request, limit: int) -> None:
        self._announced = request.headers.get("content-length")
        self._stream = request.stream()
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body's chunks.

        Raises:
            BodyTooLarge: The body says that it is longer than the limit, before anything of it is read; or it turns
                out to be.
            InvalidRequest: The Content-Length header is not a number.
        """
        if _announced_length(self._announced) > self._limit:
            raise _too_large(self._limit)
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > self._limit:
                raise _too_large(self._limit)
            yield chunk

    async def drain(self) -> None:
        """Take what is left off the wire, for a second at most, so that the client can read why it was refused."""
        await _drain(self._stream, self._limit * DRAIN_FACTOR)


async def _drain(stream: AsyncIterator[bytes], most: int) -> None:
    """Take up to ``most`` bytes, for up to DRAIN_SECONDS, and throw them away."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for chunk in stream:
                most -= len(chunk)
                if most < 0:
                    return


async def read_form(request: Request, form: type[F], limit: int) -> F:
    """Return the body of a request as ``form``; raises what ``read_body`` and ``decode_json`` raise."""
    body = await read_body(request, limit)
    if len(body) < THREAD_FROM_BYTES:
        return decode_json(body, form)
    return await asyncio.to_thread(decode_json, body, form)


def decode_json(body: bytes, form: type[F]) -> F:
    """Return the JSON object in ``body``, checked against ``form``.

    Raises:
        InvalidRequest: Not UTF-8, not JSON, or a field that is missing, unknown, or of the wrong type or range;
            ``param`` is the path of the field, such as ``memories[2].content``.
    """
    try:
        body.decode()
        return form.model_validate_json(body)
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"the body is not UTF-8 (byte {error.start})", code="invalid_encoding", param="body"
        ) from error
    except ValidationError as error:
        # The validator's error quotes its input, so it is not kept as the cause.
        raise invalid_request(error.errors(include_url=False, include_context=False, include_input=False)) from None


def invalid_request(errors: Sequence[Mapping[str, Any]], *, whole: str = "body") -> InvalidRequest:
    """Return the first of a validator's errors as ours.

    Args:
        errors: In pydantic's form, at least one.
        whole: Name for a fault of the whole input.
    """
    first = errors[0]
    kind = str(first["type"])
    param = _path(first["loc"]) or whole
    reason = (
        "unknown field; remove it" if kind == "extra_forbidden" else str(first["msg"]).removeprefix("Value error, ")
    )
    return InvalidRequest(f"{param}: {reason}", code=_CODES.get(kind, "invalid_value"), param=param)


def describe_body(*forms: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI description of a request body that has one of ``forms``, for a route's ``openapi_extra``."""
    schemas = [_inlined(schema, schema.get("$defs", {})) for schema in (form.model_json_schema() for form in forms)]
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    """Return a JSON schema without references; the definitions must not be recursive."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    own = {key: _inlined(value, definitions) for key, value in node.items() if key not in ("$ref", "$defs")}
    if "$ref" in node:
        return {**_inlined(definitions[node["$ref"].rpartition("/")[2]], definitions), **own}
    return own


def _path(parts: Sequence[str | int]) -> str:
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".")[:_MAX_PARAM_CHARS]


def _announced_length(header: str | None) -> float:
    """Return what Content-Length says, 0 where there is none; a number too long to be read is infinite."""
    if header is None:
        return 0
    if not (header.isascii() and header.isdigit()):
        raise InvalidRequest("Content-Length is not a number", code="invalid_header", param="content-length")
    digits = header.lstrip("0") or "0"
    return int(digits) if len(digits) < MAX_LENGTH_DIGITS else math.inf


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {limit} bytes, the limit of this server", param="body")
