"""Replies of scripts and searches become records, checked against the scope once more."""

import asyncio
from collections.abc import Sequence

from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.valkey.packed import PACKED_FIELDS
from memrouter.stores.valkey.rows import Row, packed_to_record, to_record

INLINE_ROWS = 64
"""Up to this many rows are read in the event loop: under 1 ms."""


class RowReader:
    """Reads rows of one store.

    Args:
        dimension: Length of the store's vectors.
        embedding_model: Name of the store's model.
    """

    def __init__(self, *, dimension: int, embedding_model: str) -> None:
        self._dimension = dimension
        self._embedding_model = embedding_model

    async def records(
        self, scope: Scope, rows: Sequence[Row | None], access: Sequence[bytes | None]
    ) -> list[MemoryRecord]:
        """Return the memories of ``scope`` behind rows, in their order; what is no memory of it is left out.

        Args:
            scope: Whose memories the rows should be.
            rows: Packed rows, or those of the Go router's memories.
            access: For each row its access entry.
        """
        if len(rows) <= INLINE_ROWS:
            return self.read(scope, rows, access)
        return await asyncio.to_thread(self.read, scope, rows, access)

    def read(self, scope: Scope, rows: Sequence[Row | None], access: Sequence[bytes | None]) -> list[MemoryRecord]:
        """Do as ``records``, at once."""
        found = [self._record(row, entry) for row, entry in zip(rows, access, strict=True) if row is not None]
        return [record for record in found if record is not None and scope.covers(record)]

    def _record(self, row: Row, access: bytes | None) -> MemoryRecord | None:
        if len(row) == len(PACKED_FIELDS):
            return packed_to_record(row, access, dimension=self._dimension)
        return to_record(row, access, dimension=self._dimension, embedding_model=self._embedding_model)
