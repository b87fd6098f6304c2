"""Bodies are bounded, and their faults are named."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.types import Message

from memrouter.api.body import THREAD_FROM_BYTES, decode_json, describe_body, read_body, read_form
from memrouter.errors import BodyTooLarge, InvalidRequest

LIMIT = 10


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    size: int


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = ""
    parts: list[Inner] = []


def request_of(*chunks: bytes, length: bytes | None = None) -> tuple[Request, list[Message]]:
    """Return a request and the messages that nobody has received yet."""
    waiting: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]

    async def receive() -> Message:
        return waiting.pop(0)

    headers = [] if length is None else [(b"content-length", length)]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive), waiting


@pytest.mark.parametrize("chunks", [(b"",), (b"0123456789",), (b"01234", b"", b"56789"), (b"1",) * LIMIT])
async def test_a_body_up_to_the_limit_is_read_whole(chunks: tuple[bytes, ...]) -> None:
    request, _ = request_of(*chunks)
    assert await read_body(request, LIMIT) == b"".join(chunks)


@pytest.mark.parametrize("length", [b"41", b"0000000041", b"9" * 5000])
async def test_an_announced_length_far_over_the_limit_is_refused_unread(length: bytes) -> None:
    request, waiting = request_of(b"1", length=length)
    with pytest.raises(BodyTooLarge, match="10 bytes"):
        await read_body(request, LIMIT)
    assert len(waiting) == 1


async def test_a_body_not_far_over_the_limit_is_read_to_its_end_and_refused() -> None:
    request, waiting = request_of(b"12345678901", b"2" * 20, length=b"31")
    with pytest.raises(BodyTooLarge, match="10 bytes"):
        await read_body(request, LIMIT)
    assert not waiting


async def test_a_body_without_a_length_is_refused_when_it_goes_on_too_long() -> None:
    request, waiting = request_of(*[b"0123456789"] * 10)
    with pytest.raises(BodyTooLarge):
        await read_body(request, LIMIT)
    assert len(waiting) == 3


async def test_an_announced_length_that_lies_does_not_raise_the_limit() -> None:
    request, _ = request_of(b"12345678901", length=b"3")
    with pytest.raises(BodyTooLarge):
        await read_body(request, LIMIT)


@pytest.mark.parametrize("length", [b"", b"ten", b"-1", b"+1", b"1 1", b"1_0", b"\xd9\xa1", b"0x1"])
async def test_a_malformed_length_is_refused(length: bytes) -> None:
    request, _ = request_of(b"1", length=length)
    with pytest.raises(InvalidRequest) as caught:
        await read_body(request, LIMIT)
    assert caught.value.param == "content-length"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"", "body", "invalid_json"),
        (b'{"name": "\xc3"}', "body", "invalid_encoding"),
        (b'{"name": "x",}', "body", "invalid_json"),
        (b"null", "body", "invalid_value"),
        (b'{"name": 1}', "name", "invalid_value"),
        (b'{"parts": [{"size": 1}, {"size": "2"}]}', "parts[1].size", "invalid_value"),
        (b'{"parts": [{}]}', "parts[0].size", "missing_field"),
        (b'{"other": 1}', "other", "unknown_field"),
        (b'{"parts": [{"size": 1, "extra": 2}]}', "parts[0].extra", "unknown_field"),
    ],
)
def test_a_fault_is_named_by_its_path(body: bytes, param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_json(body, Outer)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert str(caught.value).startswith(param) or code == "invalid_encoding"


def test_a_fault_does_not_quote_the_input() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_json(b'{"name": ["my secret"]}', Outer)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_endless_field_name_is_cut_in_the_error() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_json(b'{"' + b"x" * 10_000 + b'": 1}', Outer)
    assert len(str(caught.value)) < 300


async def test_a_large_form_is_read_like_a_small_one() -> None:
    name = "n" * THREAD_FROM_BYTES
    request, _ = request_of(b'{"name": "' + name.encode() + b'"}')
    assert (await read_form(request, Outer, 2 * THREAD_FROM_BYTES)).name == name


@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_form_or_an_invalid_request(body: bytes) -> None:
    try:
        form = decode_json(body, Outer)
    except InvalidRequest:
        return
    assert isinstance(form, Outer)


def test_a_described_body_stands_alone() -> None:
    schema = describe_body(Outer)["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["parts"]["items"]["properties"]["size"]["type"] == "integer"
    assert "$ref" not in str(schema)
    assert "$defs" not in str(schema)


async def test_a_body_in_pieces_without_a_length_is_counted(
    bare_app: FastAPI, connect: Callable[[FastAPI], AbstractAsyncContextManager[httpx.AsyncClient]]
) -> None:
    @bare_app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await read_body(request, LIMIT))

    async def pieces(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"12345"

    async with connect(bare_app) as client:
        assert (await client.post("/echo", content=pieces(2))).json() == 10
        refused = await client.post("/echo", content=pieces(3))
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "body_too_large"
