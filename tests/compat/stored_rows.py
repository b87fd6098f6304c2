"""What clients of the Go router read beside it: the rows of its collection, by plain clients of the stores."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any

from pymilvus import MilvusClient

from memrouter.config.memory import MilvusSettings, ValkeySettings
from memrouter.stores.valkey.connection import Connection

Row = dict[str, Any]

_FIELDS = ["id", "content", "user_id", "source", "created_at", "updated_at"]
_MILVUS_FIELDS = ["metadata", "access_count"]
_POLLS = 200


class StoredRows(ABC):
    """Rows as they are kept."""

    @abstractmethod
    async def of(self, user: str) -> list[Row]:
        """Return a user's rows, in any order."""

    async def appeared(self, user: str, count: int) -> list[Row]:
        """Wait until a user has ``count`` rows, no fewer and no more, and return them."""
        rows: list[Row] = []
        for _ in range(_POLLS):
            rows = await self.of(user)
            if len(rows) >= count:
                break
            await asyncio.sleep(0.05)
        assert len(rows) == count
        return rows


class MilvusRows(StoredRows):
    """Rows of a collection, as ``user_id == "..."`` finds them."""

    def __init__(self, settings: MilvusSettings) -> None:
        self._client = MilvusClient(uri=f"http://{settings.address}")
        self._collection = settings.collection

    async def of(self, user: str) -> list[Row]:
        def query() -> list[Row]:
            return list(
                self._client.query(self._collection, f'user_id == "{user}"', output_fields=[*_FIELDS, *_MILVUS_FIELDS])
            )

        return await asyncio.to_thread(query)

    def close(self) -> None:
        self._client.close()


class ValkeyRows(StoredRows):
    """Hashes under ``mem:``."""

    def __init__(self, settings: ValkeySettings) -> None:
        self._settings = settings

    async def of(self, user: str) -> list[Row]:
        # In a loop that ends: the client hears its server in the first loop of a process, for as long as that is open.
        return await asyncio.to_thread(asyncio.run, self._of(user))

    async def _of(self, user: str) -> list[Row]:
        connection = await Connection.open(self._settings)
        try:
            names = [name async for part in connection.scan("mem:*", kind="hash") for name in part]
            found = [await connection.run(["HMGET", name, *_FIELDS]) for name in names]
        finally:
            await connection.aclose()
        rows = [
            {field: value.decode() for field, value in zip(_FIELDS, values, strict=True) if value is not None}
            for values in found
        ]
        return [row for row in rows if row.get("user_id") == user]
