"""An embedder for tests: deterministic, no model, texts that share words are near each other."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from memrouter.embeddings.base import EmbedderInfo
from memrouter.embeddings.offload import are_short, run_bounded
from memrouter.embeddings.vectors import embeddable, unit_rows
from memrouter.models.memory import Matrix

_WORD = re.compile(r"\w+")


class HashEmbedder:
    """Adds a signed one at a hashed place for every lower-case word of a text, then makes the length one.

    The same text gives the same vector in every process. The first 16,384 bytes of a text count; a text without words
    gives the first basis vector.

    Args:
        dimension: Length of the vectors; the smaller, the more unrelated words share a place.
    """

    def __init__(self, dimension: int = 64) -> None:
        self._info = EmbedderInfo(model=f"hash-{dimension}", dimension=dimension, default_threshold=0.65)

    @property
    def info(self) -> EmbedderInfo:
        """Return what this embedder is."""
        return self._info

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one unit row a text; never fails."""
        return await run_bounded(self._embed, [embeddable(text) for text in texts])

    def at_once(self, texts: Sequence[str]) -> Matrix | None:
        """See ``InstantEmbedder``."""
        cut = [embeddable(text) for text in texts]
        return self._embed(cut) if are_short(cut) else None

    async def aclose(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _embed(self, texts: Sequence[str]) -> Matrix:
        rows = np.zeros((len(texts), self._info.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in _WORD.findall(text.lower()):
                place = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
                row[(place >> 1) % self._info.dimension] += 1 if place & 1 else -1
        return unit_rows(rows)
