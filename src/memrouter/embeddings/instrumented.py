"""An embedder that tells an observer how long every call took and how it ended."""

from collections.abc import Sequence
from typing import Protocol

from memrouter.clock import Clock
from memrouter.embeddings.base import Embedder, EmbedderInfo, InstantEmbedder
from memrouter.models.memory import Matrix


class EmbeddingObserver(Protocol):
    """Is told of every embedder call."""

    def embedding(self, *, model: str, texts: int, outcome: str, seconds: float) -> None:
        """Note one call.

        Args:
            model: Name of the model.
            texts: Number of texts in the call.
            outcome: ``ok``, ``error`` or ``cancelled``.
            seconds: How long it took.
        """
        ...


class InstrumentedEmbedder:
    """Satisfies ``Embedder``; behaves as ``inner`` does.

    Args:
        inner: The embedder that does the work; closed with this one.
        observer: Is told of every call.
        clock: Times the calls.
    """

    def __init__(self, inner: Embedder, *, observer: EmbeddingObserver, clock: Clock) -> None:
        self._inner = inner
        self._instant = inner if isinstance(inner, InstantEmbedder) else None
        self._observer = observer
        self._clock = clock

    @property
    def info(self) -> EmbedderInfo:
        """Return what the inner embedder is."""
        return self._inner.info

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """See ``Embedder.embed``."""
        begun = self._clock.monotonic()
        outcome = "cancelled"
        try:
            rows = await self._inner.embed(texts)
            outcome = "ok"
        except Exception:
            outcome = "error"
            raise
        finally:
            self._tell(texts, outcome, begun)
        return rows

    def at_once(self, texts: Sequence[str]) -> Matrix | None:
        """See ``InstantEmbedder``; what has to be awaited is not told."""
        begun = self._clock.monotonic()
        rows = None if self._instant is None else self._instant.at_once(texts)
        if rows is not None:
            self._tell(texts, "ok", begun)
        return rows

    async def aclose(self) -> None:
        """Close the inner embedder."""
        await self._inner.aclose()

    def _tell(self, texts: Sequence[str], outcome: str, begun: float) -> None:
        seconds = self._clock.monotonic() - begun
        self._observer.embedding(model=self.info.model, texts=len(texts), outcome=outcome, seconds=seconds)
