"""Replies of scripts and searches become records, checked against the scope once more."""

import asyncio
from collections.abc import Sequence

from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.valkey.packed import PACKED_FIELDS, unpack
from memrouter.stores.valkey.rows import Row, access_count, to_record

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
        found = [(row, entry) for row, entry in zip(rows, access, strict=True) if row is not None]
        if found and len(found[0][0]) != len(PACKED_FIELDS):
            records = [
                to_record(row, entry, dimension=self._dimension, embedding_model=self._embedding_model)
                for row, entry in found
            ]
            return _of_scope(scope, [record for record in records if record is not None])
        size = 4 * self._dimension
        whole = [pair for pair in found if pair[0][0] and pair[0][1] and len(pair[0][2] or b"") == size]
        try:
            return _of_scope(scope, self._unpacked(whole))
        except ValueError:  # a row that somebody broke: leave that one out
            return _of_scope(scope, [record for pair in whole for record in self._tolerant(pair)])

    def _unpacked(self, pairs: Sequence[tuple[Row, bytes | None]]) -> list[MemoryRecord]:
        return unpack([row for row, _ in pairs], [access_count(entry) for _, entry in pairs], dimension=self._dimension)

    def _tolerant(self, pair: tuple[Row, bytes | None]) -> list[MemoryRecord]:
        try:
            return self._unpacked([pair])
        except ValueError:
            return []


def _of_scope(scope: Scope, records: Sequence[MemoryRecord]) -> list[MemoryRecord]:
    return [record for record in records if scope.covers(record)]
