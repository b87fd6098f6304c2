"""The least that has to be done: commands straight through the client, replies left as they come."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from glide import (
    AdvancedGlideClientConfiguration,
    Batch,
    GlideClient,
    GlideClientConfiguration,
    NodeAddress,
    ProtocolVersion,
)

from memrouter.config.memory import MilvusSettings, ValkeySettings
from memrouter.models.memory import Matrix, Vector, owner_key


class RawValkey:
    """The client without a store around it.

    Args:
        client: An open client of a standalone server.
        settings: Name index and prefix.
    """

    def __init__(self, client: GlideClient, settings: ValkeySettings) -> None:
        self._client = client
        self._settings = settings

    @classmethod
    async def open(cls, settings: ValkeySettings) -> Self:
        """Return a client with the settings that the store's own has."""
        milliseconds = round(settings.timeout * 1000)
        configuration = GlideClientConfiguration(
            [NodeAddress(settings.host, settings.port)],
            protocol=ProtocolVersion.RESP2,
            request_timeout=milliseconds,
            advanced_config=AdvancedGlideClientConfiguration(connection_timeout=milliseconds),
        )
        return cls(await GlideClient.create(configuration), settings)

    async def nearest(self, user: str, vector: Vector, *, k: int, fields: Sequence[str] = ()) -> Any:
        """Return FT.SEARCH's reply for the nearest memories of a user.

        Args:
            user: Whose memories.
            vector: What to be near to.
            k: How many.
            fields: What to return of each; empty for all that its HASH has.
        """
        question = f"@owner:{{{owner_key(user)}}}=>[KNN {k} @embedding $v AS distance]"
        chosen = ["RETURN", str(len(fields)), *fields] if fields else []
        return await self._client.custom_command(
            [
                "FT.SEARCH", self._settings.index_name, question, "PARAMS", "2", "v", vector.tobytes(),
                *chosen, "LIMIT", "0", str(k), "DIALECT", "2",
            ]
        )  # fmt: skip

    async def insert(self, hashes: Sequence[tuple[str, Mapping[str, str | bytes]]]) -> None:
        """Write HASHes in one pipeline."""
        batch = Batch(is_atomic=False)
        for key, fields in hashes:
            batch.hset(key, dict(fields))
        await self._client.exec(batch, raise_on_error=True)

    async def indexed(self, number: int) -> None:
        """Wait until the index holds this many documents."""
        while True:
            reply: Any = await self._client.custom_command(["FT.INFO", self._settings.index_name])
            if int(reply[b"num_docs"]) >= number:
                return
            await asyncio.sleep(0.1)

    async def aclose(self) -> None:
        """Let go of the server."""
        await self._client.close()


class RawMilvus:
    """pymilvus without a store around it, called in the event loop: no thread is paid for.

    Args:
        settings: Name server and collection.
    """

    def __init__(self, settings: MilvusSettings) -> None:
        from pymilvus import MilvusClient

        self._client = MilvusClient(f"http://{settings.address}", timeout=settings.timeout, dedicated=True)
        self._collection = settings.collection

    async def nearest(self, user: str, vector: Vector, *, k: int) -> Any:
        """Return the reply for the nearest memories of a user, with their contents."""
        return self._client.search(
            self._collection,
            [vector.tolist()],
            filter=f'user_id in ["{user}"]',
            limit=k,
            output_fields=["content"],
            anns_field="embedding",
            consistency_level="Eventually",
        )

    async def aclose(self) -> None:
        """Let go of the server."""
        self._client.close()


class NumpyScan:
    """All vectors in this process: a product and a partial sort."""

    def __init__(self) -> None:
        self._owned: dict[str, Matrix] = {}

    def add(self, user: str, vectors: Matrix) -> None:
        self._owned[user] = vectors

    async def nearest(self, user: str, vector: Vector, *, k: int) -> Any:
        """Return the places of the nearest memories of a user."""
        scores = self._owned[user] @ vector
        return np.argpartition(scores, -k)[-k:]
