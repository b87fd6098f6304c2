"""``python -m benchmarks.load.worker FILE``: the process that the clients live in.

FILE holds the turns that are asked, as JSON: a list of user and question. Orders come as JSON lines on standard input,
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
    """The turns as requests without end; each server gets them from where it was left.

    Args:
        turns: User and question.
    """

    def __init__(self, turns: list[tuple[str, str]]) -> None:
        self._turns = turns
        self._begun: dict[tuple[int, str, bool], Iterator[bytes]] = {}

    def requests(self, port: int, *, model: str, stream: bool) -> Iterator[bytes]:
        key = (port, model, stream)
        if key not in self._begun:
            made = [
                request(port, msgspec.json.encode(_body(question, model=model, stream=stream)), user=user)
                for user, question in self._turns
            ]
            self._begun[key] = itertools.cycle(made)
        return self._begun[key]


def _body(question: str, *, model: str, stream: bool) -> dict[str, object]:
    body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": question}]}
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
