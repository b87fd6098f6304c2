"""betterdb-agent-memory: its MemoryStore on Valkey, with the HNSW index that it makes."""

import asyncio
import time
import uuid

from betterdb_agent_memory import MemoryStore  # type: ignore[import-not-found]  # lives in the peer's environment
from betterdb_agent_memory.build_memory_record import build_memory_record  # type: ignore[import-not-found]  # as above
from valkey.asyncio import Valkey

from benchmarks.peers.lines import converse, timed
from benchmarks.peers.wordllama_vectors import WordLlamaVectors

LIMIT = 10
THRESHOLD = 1.0
"""Cosine distance up to which it returns memories; with its own default, 0.33, it would return none of this model's."""
BATCH = 500


class BetterDb:
    """As its page shows it, analytics off; a namespace a user."""

    def __init__(self, embed: WordLlamaVectors) -> None:
        self._embed = embed

    async def _vector(self, text: str) -> list[float]:
        vector: list[float] = self._embed([text])[0].tolist()
        return vector

    async def open(self, port: int, dimension: int, name: str) -> None:
        self._name = name
        self._client = Valkey(host="127.0.0.1", port=port)
        self._store = MemoryStore(client=self._client, name=name, embed_fn=self._vector, analytics=False)
        await self._store.ensure_index()

    async def fill(self, memories: list[tuple[str, str]]) -> None:
        """Write the very HASHes that ``remember`` writes, in pipelines."""
        now = round(time.time() * 1000)
        for first in range(0, len(memories), BATCH):
            some = memories[first : first + BATCH]
            pipeline = self._client.pipeline(transaction=False)
            for (user, text), vector in zip(some, self._embed([text for _, text in some]), strict=True):
                record = build_memory_record(
                    self._name, str(uuid.uuid4()), text, vector.tolist(), namespace=user, now=now
                )
                pipeline.execute_command("HSET", record.key, *record.fields)
            await pipeline.execute()

    async def recall(self, questions: list[tuple[str, str]], variant: str) -> list[float]:
        """Recall with reinforcement, as by default, or without it."""
        reinforce = variant == "default"
        seconds: list[float] = []
        for user, text in questions:

            async def work(user: str = user, text: str = text) -> object:
                return await self._store.recall(text, k=LIMIT, threshold=THRESHOLD, namespace=user, reinforce=reinforce)

            await timed(work, seconds)
        return seconds

    async def remember(self, memories: list[tuple[str, str]]) -> list[float]:
        seconds: list[float] = []
        for user, text in memories:

            async def work(user: str = user, text: str = text) -> object:
                return await self._store.remember(text, namespace=user)

            await timed(work, seconds)
        return seconds


if __name__ == "__main__":
    vectors = WordLlamaVectors()
    asyncio.run(converse(BetterDb(vectors), vectors))
