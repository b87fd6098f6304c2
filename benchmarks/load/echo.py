"""``python -m benchmarks.load.echo PORT``: an OpenAI-compatible server with a fixed answer, as fast as Python can be.

A streamed answer has TOKENS pieces; the first goes out at once, the others PACE_SECONDS apart. The model ``broken``
answers with status 500, ``cut`` breaks its answers off in the middle.
"""

import asyncio
import json
import sys
from typing import Any, cast

import httptools
import uvloop

TOKENS = 8
PACE_SECONDS = 0.005
WORDS = "That is good to know, I will keep it in mind. "


def _answer(body: bytes, *, status: str = "200 OK", kind: bytes = b"application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nserver: echo\r\ncontent-length: {len(body)}\r\ncontent-type: ".encode()
    return head + kind + b"\r\n\r\n" + body


def _object(kind: str, choice: dict[str, Any], **more: Any) -> bytes:
    base = {"id": "chatcmpl-echo", "object": kind, "created": 1_767_225_600, "model": "qwen3"}
    return json.dumps({**base, "choices": [{"index": 0, "finish_reason": None, **choice}], **more}).encode()


_USAGE = {"prompt_tokens": 20, "completion_tokens": 12, "total_tokens": 32}
WHOLE = _answer(
    _object(
        "chat.completion",
        {"message": {"role": "assistant", "content": WORDS}, "finish_reason": "stop"},
        usage=_USAGE,
    )
)
MODELS = _answer(json.dumps({"object": "list", "data": [{"id": "qwen3", "object": "model"}]}).encode())
BROKEN = _answer(b'{"error":{"message":"broken","type":"server_error"}}', status="500 Internal Server Error")
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: echo\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def _pieces() -> list[bytes]:
    size = -(-len(WORDS) // TOKENS)
    events = []
    for number in range(TOKENS):
        delta = {"content": WORDS[number * size : (number + 1) * size]} | ({} if number else {"role": "assistant"})
        finish = {"finish_reason": "stop"} if number == TOKENS - 1 else {}
        events.append(b"data: " + _object("chat.completion.chunk", {"delta": delta, **finish}) + b"\n\n")
    events[-1] += b"data: [DONE]\n\n"
    return [b"%x\r\n%b\r\n" % (len(event), event) for event in events]


PIECES = _pieces()


class Echo(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.abort()

    def on_message_begin(self) -> None:
        self._body.clear()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        if self._transport is None:
            return
        if not body:
            self._transport.write(MODELS)
        elif b'"broken"' in body:
            self._transport.write(BROKEN)
        elif b'"stream":true' in body or b'"stream": true' in body:
            self._transport.write(STREAM_HEAD + PIECES[0])
            self._later(1, cut=b'"cut"' in body)
        elif b'"cut"' in body:
            self._transport.write(WHOLE[:-20])
            self._transport.close()
        else:
            self._transport.write(WHOLE)

    def _later(self, number: int, *, cut: bool) -> None:
        self._timer = asyncio.get_running_loop().call_later(PACE_SECONDS, self._go_on, number, cut)

    def _go_on(self, number: int, cut: bool) -> None:
        if self._transport is None:
            return
        if cut and number > TOKENS // 2:
            self._transport.abort()
        elif number < TOKENS - 1:
            self._transport.write(PIECES[number])
            self._later(number + 1, cut=cut)
        else:
            self._transport.write(PIECES[number] + b"0\r\n\r\n")


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port, backlog=2048)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
