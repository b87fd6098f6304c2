"""One client's HTTP connection: requests made before, answers timed as they come."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import httptools

OK = 200


@dataclass(slots=True)
class Seen:
    """What the clients of one run saw.

    Attributes:
        latencies: Seconds from sending a request to the last byte of its answer.
        firsts: Seconds to the first byte of the body.
        gaps: Seconds between two pieces of one body.
        used: Answers whose ``x-memory-status`` was ``used``.
        failures: Answers that were not 200, and connections that broke.
        last: When the last answer ended.
    """

    latencies: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    used: int = 0
    failures: int = 0
    last: float = 0.0


class Connection(asyncio.Protocol):
    """Sends one request after the other over one connection, for as long as there is one.

    Args:
        upcoming: Gives the next request; None ends it.
        seen: Takes what is measured.
        hang_up_after: Pieces of a body after which the client breaks the connection off; None to read to the end.
    """

    def __init__(self, upcoming: Callable[[], bytes | None], seen: Seen, *, hang_up_after: int | None = None) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._upcoming = upcoming
        self._seen = seen
        self._hang_up_after = hang_up_after
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting = False
        self._sent = self._piece = 0.0
        self._pieces = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._seen.failures += 1
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if value == b"used" and name.lower() == b"x-memory-status":
            self._seen.used += 1

    def on_body(self, body: bytes) -> None:
        now = time.perf_counter()
        if self._pieces:
            self._seen.gaps.append(now - self._piece)
        else:
            self._seen.firsts.append(now - self._sent)
        self._piece = now
        self._pieces += 1
        if self._pieces == self._hang_up_after and self._transport is not None:
            self._waiting = False
            self._transport.abort()

    def on_message_complete(self) -> None:
        self._waiting = False
        now = self._seen.last = time.perf_counter()
        if self._parser.get_status_code() == OK:
            self._seen.latencies.append(now - self._sent)
        else:
            self._seen.failures += 1
        if self._transport is None:
            return
        if not self._parser.should_keep_alive():
            self._transport.close()
        else:
            self._next()

    def _next(self) -> None:
        request = self._upcoming()
        assert self._transport is not None
        if request is None:
            self._transport.close()
            return
        self._waiting, self._pieces = True, 0
        self._sent = time.perf_counter()
        self._transport.write(request)


def request(port: int, body: bytes, *, user: str) -> bytes:
    """Return a whole HTTP request."""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-authz-user-id: {user}\r\n"
        f"content-type: application/json\r\naccept: */*\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Clients:
    """Clients that ask without pause until the time is over, each of them at least once.

    Args:
        port: Of the server on this machine.
        requests: Asked in turns, without end.
    """

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self._port = port
        self._requests = requests
        self._end = 0.0

    async def run(self, clients: int, seconds: float, *, least: int) -> tuple[Seen, float]:
        """Return what was seen, and in how many seconds; ``least`` requests are sent also where that takes longer."""
        seen, begun = Seen(), time.perf_counter()
        self._end, left = begun + seconds, iter(range(max(clients, least)))

        def upcoming() -> bytes | None:
            if next(left, None) is None and time.perf_counter() >= self._end:
                return None
            return next(self._requests)

        await asyncio.gather(*(self._client(upcoming, seen) for _ in range(clients)))
        return seen, (seen.last or time.perf_counter()) - begun

    async def _client(self, upcoming: Callable[[], bytes | None], seen: Seen) -> None:
        loop = asyncio.get_running_loop()
        while True:
            _, protocol = await loop.create_connection(lambda: Connection(upcoming, seen), "127.0.0.1", self._port)
            await protocol.ended
            if time.perf_counter() >= self._end:
                return
