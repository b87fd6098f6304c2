"""The one interface that every embedder and every wrapper of one satisfies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from memrouter.models.memory import Matrix


@dataclass(frozen=True, slots=True)
class EmbedderInfo:
    """What an embedder is.

    Attributes:
        model: Name stored with every vector; vectors of two models are never compared.
        dimension: Length of its vectors.
        default_threshold: ``vector_score`` (0 to 1) from which a memory counts as relevant where the configuration
            names no threshold. Belongs to the model, since each spreads its cosines differently.
    """

    model: str
    dimension: int
    default_threshold: float


class Embedder(Protocol):
    """Turns text into unit vectors."""

    @property
    def info(self) -> EmbedderInfo:
        """Return what this embedder is; needs no I/O."""
        ...

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one row a text, shape (len(texts), dimension), float32, each of unit length.

        A text without anything to embed (empty, or of unknown symbols only) gives a deterministic unit vector too.

        Raises:
            EmbeddingError: The model could not be asked or gave an unusable answer.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections and threads; calling it again does nothing."""
        ...


@runtime_checkable
class InstantEmbedder(Protocol):
    """An embedder that needs to wait for nothing where texts are short; beside ``Embedder``, where that is so."""

    def at_once(self, texts: Sequence[str]) -> Matrix | None:
        """Return what ``embed`` returns, computed here and now in under 1 ms; None where ``embed`` must be awaited."""
        ...
