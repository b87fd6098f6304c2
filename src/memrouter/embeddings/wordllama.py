"""The default embedder: static token vectors out of the wordllama package, offline and fast."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from memrouter.embeddings.base import EmbedderInfo
from memrouter.embeddings.offload import are_short, run_bounded
from memrouter.embeddings.tensor_file import map_tensor
from memrouter.embeddings.tokens import WordIds, bundled_file, load_tokenizer
from memrouter.embeddings.vectors import embeddable, unit_rows
from memrouter.models.memory import Matrix

# Calibrated: about 5 % of off-topic questions find something among some 600 memories, at a cost of 2.5 points of
# recall@10 on topic; see docs/retrieval.md.
_INFO = EmbedderInfo(model="wordllama-l2-supercat-256", dimension=256, default_threshold=0.67)


class WordLlamaEmbedder:
    """Mean of the token vectors of a text, of unit length: what the package itself computes.

    The first 16,384 bytes of a text count; a text without tokens gives the first basis vector. Short texts are embedded
    at once (about 0.03 ms each, less where all words are known), long ones in a thread.

    Args:
        tokenizer: Shared with others; its settings are not changed.
        weights: One row a token, shape (tokens, 256); float16 as shipped, since widening all of it would take another
            32 MB and save only some microseconds a text.
    """

    def __init__(self, tokenizer: Tokenizer, weights: NDArray[np.float16]) -> None:
        self._ids = WordIds(tokenizer)
        self._weights = weights

    @classmethod
    def load(cls, tokenizer: Tokenizer | None = None) -> Self:
        """Return the embedder; reads 16 MB from disk, so call it in a thread.

        The weights are mapped from their file: processes share them, and rows that no text uses take no memory.

        Args:
            tokenizer: One from ``load_tokenizer`` to share; None loads another.

        Raises:
            ConfigError: The wordllama package is incomplete.
        """
        weights = map_tensor(bundled_file("weights", "l2_supercat_256.safetensors"), "embedding.weight")
        return cls(tokenizer or load_tokenizer(), weights)

    @property
    def info(self) -> EmbedderInfo:
        """Return what this embedder is."""
        return _INFO

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
        sums = np.zeros((len(texts), _INFO.dimension), dtype=np.float32)
        for row, text in zip(sums, texts, strict=True):
            ids = self._ids.of(text)
            if ids:
                np.add.reduce(self._weights.take(ids, axis=0), axis=0, dtype=np.float32, out=row)
        return unit_rows(sums)
