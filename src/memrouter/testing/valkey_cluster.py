"""A real Valkey cluster on this machine, for tests."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Self

from memrouter.config.memory import ValkeySettings
from memrouter.testing.valkey import READY_SECONDS, ValkeyServer, free_port

SLOTS = 16_384
POLL_SECONDS = 0.05


class ValkeyCluster:
    """Primaries on 127.0.0.1 that share the slots between them; an async context manager.

    The nodes have the Search module for tests, RediSearch, which knows nothing of the cluster: each node has indexes
    of its own and searches its own keys.

    Args:
        nodes: How many, at least 3.
        args: Further arguments of every server.
    """

    def __init__(self, *, nodes: int = 3, args: Sequence[str] = ()) -> None:
        self._buses = [free_port() for _ in range(nodes)]
        self.nodes = [
            ValkeyServer(
                args=("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "2000", *args)
            )
            for bus in self._buses
        ]

    async def __aenter__(self) -> Self:
        """Start the nodes and join them."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the nodes and remove what they made."""
        await self.aclose()

    async def start(self) -> None:
        """Start the nodes and join them."""
        try:
            await asyncio.gather(*(node.start() for node in self.nodes))
            await self._join()
        except BaseException:
            await self.aclose()
            raise

    def settings(self, **changes: object) -> ValkeySettings:
        """Return settings for a client of this cluster."""
        return self.nodes[0].settings(**({"cluster": True} | changes))

    async def flush(self) -> None:
        """Remove all keys and indexes."""
        await self.everywhere("FLUSHALL", "SYNC")

    async def everywhere(self, *words: str) -> None:
        """Run a command on every node, such as FT.CREATE, which the nodes do not pass on to each other."""
        for node in self.nodes:
            await ask(node, *words)

    async def keys(self) -> list[int]:
        """Return how many keys each node has."""
        return [int((await ask(node, "DBSIZE")).removeprefix(b":")) for node in self.nodes]

    async def aclose(self) -> None:
        """End the nodes and remove what they made."""
        for node in self.nodes:
            await node.aclose()

    async def _join(self) -> None:
        borders = [number * SLOTS // len(self.nodes) for number in range(len(self.nodes) + 1)]
        for node, (first, end) in zip(self.nodes, pairwise(borders), strict=True):
            await ask(node, "CLUSTER", "ADDSLOTSRANGE", str(first), str(end - 1))
        for node, bus in zip(self.nodes[1:], self._buses[1:], strict=True):
            await ask(self.nodes[0], "CLUSTER", "MEET", "127.0.0.1", str(node.port), str(bus))
        for _ in range(round(READY_SECONDS / POLL_SECONDS)):
            if all([await self._complete(node) for node in self.nodes]):
                return
            await asyncio.sleep(POLL_SECONDS)
        raise RuntimeError("the nodes of the cluster did not find each other")

    async def _complete(self, node: ValkeyServer) -> bool:
        """Return whether a node sees the whole cluster."""
        seen = await ask(node, "CLUSTER", "INFO")
        wanted = ("cluster_state:ok", f"cluster_slots_assigned:{SLOTS}", f"cluster_known_nodes:{len(self.nodes)}")
        return all(line.encode() in seen for line in wanted)


async def ask(node: ValkeyServer, *words: str) -> bytes:
    """Return the first line of a node's reply, or the text of a bulk reply.

    Raises:
        RuntimeError: The node answered with an error.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    try:
        writer.write(" ".join(words).encode() + b"\r\n")
        line = (await reader.readline()).rstrip()
        if line.startswith(b"-"):
            raise RuntimeError(line.decode(errors="replace"))
        return await reader.readexactly(int(line[1:])) if line.startswith(b"$") else line
    finally:
        writer.close()
