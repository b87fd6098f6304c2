"""A wrapper that makes vectors longer, for a store whose dimension is larger than the embedder's."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from memrouter.embeddings.base import Embedder, EmbedderInfo, InstantEmbedder
from memrouter.models.memory import Matrix


class PaddedEmbedder:
    """Puts zeros behind every vector; lengths and cosines do not change, nor does the model's name.

    Args:
        inner: The embedder; closed with this one.
        dimension: At least the inner embedder's.

    Raises:
        ValueError: ``dimension`` is smaller than the inner embedder's.
    """

    def __init__(self, inner: Embedder, dimension: int) -> None:
        if dimension < inner.info.dimension:
            raise ValueError(f"dimension must be at least {inner.info.dimension}")
        self._inner = inner
        self._instant = inner if isinstance(inner, InstantEmbedder) else None
        self._info = replace(inner.info, dimension=dimension)

    @property
    def info(self) -> EmbedderInfo:
        """Return the inner embedder's description with the larger dimension."""
        return self._info

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one unit row a text.

        Raises:
            EmbeddingError: The inner embedder failed.
        """
        return self._padded(await self._inner.embed(texts))

    def at_once(self, texts: Sequence[str]) -> Matrix | None:
        """See ``InstantEmbedder``."""
        rows = None if self._instant is None else self._instant.at_once(texts)
        return None if rows is None else self._padded(rows)

    async def aclose(self) -> None:
        """Close the inner embedder."""
        await self._inner.aclose()

    def _padded(self, rows: Matrix) -> Matrix:
        padded = np.zeros((len(rows), self._info.dimension), dtype=np.float32)
        padded[:, : rows.shape[1]] = rows
        return padded
