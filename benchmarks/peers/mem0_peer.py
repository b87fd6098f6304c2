"""mem0: the vector store class that it has for Valkey, with the HNSW index that it makes by default."""

import asyncio
import uuid
from contextlib import suppress

import valkey
from mem0.vector_stores.valkey import ValkeyDB  # type: ignore[import-not-found]  # lives in the peer's environment

from benchmarks.peers.lines import converse, timed
from benchmarks.peers.wordllama_vectors import WordLlamaVectors

LIMIT = 10
BATCH = 500


class Mem0:
    """Embeds, then asks the store, as mem0's ``Memory`` does; its language model is left out."""

    def __init__(self, embed: WordLlamaVectors) -> None:
        self._embed = embed

    async def open(self, port: int, dimension: int, name: str) -> None:
        url = f"valkey://127.0.0.1:{port}"
        # Made here as it makes it: it takes the error of RediSearch for a missing index for something worse.
        maker = ValkeyDB.__new__(ValkeyDB)
        maker.index_type, maker.hnsw_m, maker.hnsw_ef_construction, maker.hnsw_ef_runtime = "hnsw", 16, 200, 10
        command = maker._build_index_schema(name, dimension, "COSINE", f"mem0:{name}")  # noqa: SLF001 - see above
        with valkey.Valkey(port=port) as client:
            with suppress(valkey.ResponseError):  # valkey-search knows the newer syntax only, RediSearch must be told
                client.execute_command("FT.CONFIG", "SET", "DEFAULT_DIALECT", "2")
            client.execute_command(*command)
        self._store = ValkeyDB(valkey_url=url, collection_name=name, embedding_model_dims=dimension)

    async def fill(self, memories: list[tuple[str, str]]) -> None:
        """Give it many at a time; it writes them one by one."""
        for first in range(0, len(memories), BATCH):
            some = memories[first : first + BATCH]
            vectors = self._embed([text for _, text in some]).tolist()
            payloads = [{"data": text, "user_id": user} for user, text in some]
            self._store.insert(vectors, payloads, [str(uuid.uuid4()) for _ in some])

    async def recall(self, questions: list[tuple[str, str]], variant: str) -> list[float]:
        seconds: list[float] = []
        for user, text in questions:

            async def work(user: str = user, text: str = text) -> object:
                vector = self._embed([text])[0].tolist()
                return self._store.search(text, vector, top_k=LIMIT, filters={"user_id": user})

            await timed(work, seconds)
        return seconds

    async def remember(self, memories: list[tuple[str, str]]) -> list[float]:
        seconds: list[float] = []
        for user, text in memories:

            async def work(user: str = user, text: str = text) -> object:
                vector = self._embed([text])[0].tolist()
                payload = {"data": text, "user_id": user}
                return self._store.insert([vector], [payload], [str(uuid.uuid4())])

            await timed(work, seconds)
        return seconds


if __name__ == "__main__":
    vectors = WordLlamaVectors()
    asyncio.run(converse(Mem0(vectors), vectors))
