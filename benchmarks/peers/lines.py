"""The peers' side of the conversation: orders as JSON lines on standard input, answers on standard output."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from benchmarks.peers.wordllama_vectors import WordLlamaVectors


class Peer(Protocol):
    """A product with memories; every method gives the seconds that each operation took."""

    async def open(self, port: int, dimension: int, name: str) -> None:
        """Connect to the Valkey server on this machine and make the index, which has this name."""
        ...

    async def fill(self, memories: list[tuple[str, str]]) -> None:
        """Store user and text of memories, however is fastest."""
        ...

    async def recall(self, questions: list[tuple[str, str]], variant: str) -> list[float]:
        """Search for users' questions."""
        ...

    async def remember(self, memories: list[tuple[str, str]]) -> list[float]:
        """Store memories one by one, as the product does."""
        ...


async def timed(work: Callable[[], Awaitable[object]], seconds: list[float]) -> None:
    """Do something and note how long it took."""
    begun = time.perf_counter()
    await work()
    seconds.append(time.perf_counter() - begun)


async def converse(peer: Peer, embed: WordLlamaVectors) -> None:
    """Carry out orders until there are no more."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            answer = await _obeyed(peer, embed, json.loads(line))
        except Exception as error:  # noqa: BLE001 - the benchmark shows it and goes on without this peer
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


async def _obeyed(peer: Peer, embed: WordLlamaVectors, order: Mapping[str, Any]) -> dict[str, Any]:
    match order["do"]:
        case "open":
            await peer.open(order["port"], order["dimension"], order["name"])
        case "fill":
            await peer.fill(order["memories"])
        case "vectors":
            return {"vectors": embed(order["texts"]).tolist()}
        case "recall":
            return {"seconds": await peer.recall(order["questions"], order["variant"])}
        case _:
            return {"seconds": await peer.remember(order["memories"])}
    return {}
