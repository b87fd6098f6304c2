"""What is looked at before anything is written."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from memrouter.errors import InvalidRequest
from memrouter.models.memory import MemoryRecord
from memrouter.stores.milvus.expressions import storable
from memrouter.stores.vectors import require_model, to_bytes

INLINE_RECORDS: Final = 16
"""Up to this many records are looked at in the event loop: under 1 ms."""


class Checks:
    """Refuses what one store cannot keep.

    Args:
        dimension: Length of the store's vectors.
        embedding_model: Name of the store's model.
    """

    def __init__(self, *, dimension: int, embedding_model: str) -> None:
        self._dimension = dimension
        self._model = embedding_model

    async def __call__(self, records: Sequence[MemoryRecord]) -> None:
        """Check the vectors and ids of memories.

        Raises:
            SchemaMismatch: A vector is of another dimension or model.
            InvalidRequest: An id cannot be one.
        """
        if len(records) <= INLINE_RECORDS:
            self._all(records)
        else:
            await asyncio.to_thread(self._all, records)

    def _all(self, records: Iterable[MemoryRecord]) -> None:
        for record in records:
            require_model(record.embedding_model, embedding_model=self._model)
            to_bytes(record.embedding, dimension=self._dimension)
            if not storable(record.id):
                raise InvalidRequest("an id is empty, too long or holds a control character", param="id")
