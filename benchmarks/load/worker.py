"""``python -m benchmarks.load.worker FILE``: the process that the clients live in.

FILE holds the turns, as JSON: a list of user and what is said. Orders come as JSON lines on standard input,
and each is answered with one on standard output.
"""

import asyncio
import itertools
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import msgspec
import uvloop

from benchmarks.load.connection import Clients, request
from benchmarks.load.soak import soak


class Order(msgspec.Struct, frozen=True):
    """What to do.

    Attributes:
        port: Of the server on this machine.
        clients: How many at once.
        seconds: How long.
        stream: Whether answers are streamed.
        least: Fewest requests, also where they take longer.
        rate: Requests per second of a soak, in which clients hang up and models break; 0 for clients that ask without
            pause.
    """

    port: int
    clients: int
    seconds: float
    stream: bool
    least: int = 0
    rate: float = 0.0


class Asked:
    """The turns as requests without end; each server gets them from where it was left, in whatever form.

    Args:
        turns: User and what is said.
    """

    def __init__(self, turns: list[tuple[str, str]]) -> None:
        self._turns = turns
        self._made: dict[tuple[int, str, bool], list[bytes]] = {}
        self._places: dict[int, Iterator[int]] = {}

    def requests(self, port: int, *, model: str, stream: bool) -> Iterator[bytes]:
        key = (port, model, stream)
        if key not in self._made:
            self._made[key] = [
                request(port, msgspec.json.encode(_body(text, model=model, stream=stream)), user=user)
                for user, text in self._turns
            ]
        made, places = self._made[key], self._places.setdefault(port, itertools.cycle(range(len(self._turns))))
        return (made[place] for place in places)


def _body(text: str, *, model: str, stream: bool) -> dict[str, object]:
    body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": text}]}
    return body | {"stream": True} if stream else body


async def obey(order: Order, asked: Asked) -> dict[str, object]:
    """Return what was seen."""
    if order.rate:

        def made(model: str, stream: bool) -> Iterator[bytes]:
            return asked.requests(order.port, model=model, stream=stream)

        return await soak(order.port, made, rate=order.rate, seconds=order.seconds)
    requests = asked.requests(order.port, model="qwen3", stream=order.stream)
    seen, seconds = await Clients(order.port, requests).run(order.clients, order.seconds, least=order.least)
    return {**asdict(seen), "seconds": seconds}


async def main() -> None:
    asked = Asked(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=list[tuple[str, str]]))
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        answer = await obey(msgspec.json.decode(line, type=Order), asked)
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(main())
