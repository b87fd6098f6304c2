"""A model server that does what a test tells it, over real sockets."""

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any, Self

from aiohttp import web

_JSON = {"Content-Type": "application/json"}
_EVENT_STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}
_NO_LINGER = struct.pack("ii", 1, 0)


class Fault(Enum):
    """Ways for a server to misbehave."""

    HANG = "hang"
    """Say nothing more, and keep the connection open."""
    DISCONNECT = "disconnect"
    """Close the connection."""
    RESET = "reset"
    """Reset the connection."""


Step = bytes | asyncio.Event | Fault
"""Bytes to send, a gate to wait at until somebody sets it, or a way to misbehave."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server does with one request.

    Attributes:
        status: HTTP status.
        headers: Headers to send besides Date, Server and those of framing.
        before: What happens before the status line is sent.
        body: What happens after it. A body of bytes alone is sent with its length, any other one chunked, each piece
            as a chunk of its own.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[asyncio.Event | Fault] = ()
    body: Sequence[Step] = ()

    @classmethod
    def json(cls, value: object, *, status: int = 200) -> Self:
        """Return an answer whose body is ``value`` as JSON."""
        return cls(status=status, headers=_JSON, body=(json.dumps(value).encode(),))

    @classmethod
    def completion(cls, text: str) -> Self:
        """Return a chat completion of one choice."""
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "scripted"}
        return cls.json({**head, "choices": [choice], "usage": usage})

    @classmethod
    def stream(cls, *steps: Step) -> Self:
        """Return an answer of server-sent events: exactly these bytes, with gates and faults between them."""
        # The empty gate list keeps a body of bytes alone chunked, as streams are.
        opened = asyncio.Event()
        opened.set()
        return cls(headers=_EVENT_STREAM, body=(opened, *steps))

    @classmethod
    def error(cls, status: int, message: str = "scripted failure") -> Self:
        """Return an error in OpenAI's form."""
        body = {"error": {"message": message, "type": "server_error", "code": None, "param": None}}
        return cls.json(body, status=status)

    @classmethod
    def fault(cls, fault: Fault) -> Self:
        """Return no answer at all: misbehave as soon as the request has been read."""
        return cls(before=(fault,))


def completion_chunks(*texts: str) -> list[bytes]:
    """Return the server-sent events of a streamed chat completion, one for each text, and ``[DONE]``."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
    deltas: list[dict[str, Any]] = [{"delta": {"content": text}, "finish_reason": None} for text in texts]
    choices = [{"index": 0, **delta} for delta in (*deltas, {"delta": {}, "finish_reason": "stop"})]
    events = [json.dumps({**head, "choices": [choice]}) for choice in choices]
    return [f"data: {event}\n\n".encode() for event in (*events, "[DONE]")]


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived.

    Attributes:
        method: HTTP method.
        target: Path and query as sent.
        headers: Name and value pairs as sent, in order.
        body: The raw body.
        connection: Number of the connection, from 1 in order of the first request on each.
    """

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        """Return the value of the first header of this name, or None."""
        wanted = name.lower().encode()
        return next((value.decode() for key, value in self.headers if key.lower() == wanted), None)

    def json(self) -> Any:
        """Return the body parsed as JSON."""
        return json.loads(self.body)


class ScriptedUpstream:
    """A local HTTP server with prepared answers; an async context manager.

    It takes the answers of its script in order, one for each request, and then those of ``default``, which is a chat
    completion with the text ``ok`` unless given.

    Args:
        default: An answer, or a function that makes one from the request.
        port: Where to listen; 0 takes a free port.

    Attributes:
        requests: What was received, in order.
        arrived: Set when a request has been read.
        seen_disconnect: Set when a client went away in the middle of an answer.
    """

    def __init__(self, default: Answer | Callable[[Received], Answer] | None = None, *, port: int = 0) -> None:
        self.requests: list[Received] = []
        self.arrived = asyncio.Event()
        self.seen_disconnect = asyncio.Event()
        self._default = default or Answer.completion("ok")
        self._script: deque[Answer] = deque()
        self._connections: dict[object, int] = {}
        self._runner: web.ServerRunner | None = None
        self._port = port

    def script(self, *answers: Answer) -> None:
        """Add answers for the next requests."""
        self._script.extend(answers)

    @property
    def endpoint(self) -> str:
        """Return ``host:port``."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """Return the base URL of the API, up to the version."""
        return f"http://{self.endpoint}/v1"

    async def start(self) -> None:
        """Listen on this machine; after ``aclose`` on the same port again."""
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def aclose(self) -> None:
        """Stop listening and close all connections; calling it again does nothing."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = self._connections.setdefault(request.protocol, len(self._connections) + 1)
        body = await request.content.read()
        received = Received(request.method, request.path_qs, tuple(request.raw_headers), body, connection)
        self.requests.append(received)
        self.arrived.set()
        answer = self._script.popleft() if self._script else self._default
        try:
            return await self._perform(request, answer(received) if callable(answer) else answer)
        except (asyncio.CancelledError, ConnectionError):
            if self._runner is not None:
                self.seen_disconnect.set()
            raise

    async def _perform(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        for first in answer.before:
            if isinstance(first, Fault):
                return await _misbehave(request, first)
            await first.wait()
        whole = [step for step in answer.body if isinstance(step, bytes)]
        if len(whole) == len(answer.body):
            return web.Response(status=answer.status, headers=answer.headers, body=b"".join(whole))
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        for step in answer.body:
            if isinstance(step, Fault):
                return await _misbehave(request, step)
            if isinstance(step, bytes):
                await response.write(step)
            else:
                await step.wait()
        await response.write_eof()
        return response


async def _misbehave(request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
    transport = request.transport
    if fault is Fault.HANG or transport is None:
        await asyncio.Event().wait()
    elif fault is Fault.DISCONNECT:
        transport.close()
    else:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    return web.Response()
