"""A model that computes in this process, whichever package runs it."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from memrouter.embeddings.base import EmbedderInfo
from memrouter.embeddings.vectors import embeddable, unit_rows
from memrouter.errors import EmbeddingError
from memrouter.models.memory import Matrix

Encode = Callable[[list[str]], Iterable[NDArray[np.floating]]]
"""Blocking: texts to one vector each."""


class LocalEmbedder:
    """Runs a blocking model in one thread of its own, so that it never takes more than its share of the machine.

    The first 16,384 bytes of a text count; the model may look at less. Texts of white space only are not shown to the
    model and give the first basis vector.

    Args:
        encode: The model; called from one thread, one call at a time.
        info: What it is.
    """

    def __init__(self, encode: Encode, *, info: EmbedderInfo) -> None:
        self._encode = encode
        self._info = info
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")
        self._closed = False

    @property
    def info(self) -> EmbedderInfo:
        """Return what this embedder is."""
        return self._info

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one unit row a text.

        Raises:
            EmbeddingError: The model failed, gave something unusable, or the embedder is closed.
        """
        if self._closed:
            raise EmbeddingError("the embedder is closed")
        cut = [embeddable(text) for text in texts]
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, cut)

    async def aclose(self) -> None:
        """Let the thread end once it has done what it was asked for. Calling it again does nothing."""
        self._closed = True
        self._thread.shutdown(wait=False)

    def _embed(self, texts: list[str]) -> Matrix:
        asked = [at for at, text in enumerate(texts) if text.strip()]
        rows = np.zeros((len(texts), self._info.dimension), dtype=np.float32)
        if asked:
            try:
                vectors = np.array(list(self._encode([texts[at] for at in asked])), dtype=np.float32)
            except Exception as error:  # noqa: BLE001 - the model's package raises what it likes
                # Its message may quote the text.
                raise EmbeddingError(f"the local embedding model failed ({type(error).__name__})") from None
            if vectors.shape != (len(asked), self._info.dimension) or not np.isfinite(vectors).all():
                raise EmbeddingError("the local embedding model gave vectors of a wrong shape or not finite")
            rows[asked] = vectors
        return unit_rows(rows)
