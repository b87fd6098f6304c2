"""The instrumented embedder does what the inner one does, and tells how each call went."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from memrouter.embeddings.base import EmbedderInfo
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.embeddings.instrumented import EmbeddingObserver, InstrumentedEmbedder
from memrouter.errors import EmbeddingError
from memrouter.models.memory import Matrix
from memrouter.observability.metrics import Metrics
from memrouter.testing.clock import ManualClock


class Noted:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, str, float]] = []

    def embedding(self, *, model: str, texts: int, outcome: str, seconds: float) -> None:
        self.calls.append((model, texts, outcome, seconds))


class Slow:
    """Takes 20 ms of its clock, then does what it was told to."""

    def __init__(self, outcome: BaseException | None) -> None:
        self.clock = ManualClock()
        self.closed = False
        self._outcome = outcome

    @property
    def info(self) -> EmbedderInfo:
        return EmbedderInfo(model="slow", dimension=2, default_threshold=0.5)

    async def embed(self, texts: Sequence[str]) -> Matrix:
        self.clock.ms += 20
        if self._outcome is not None:
            raise self._outcome
        return np.array([[1.0, 0.0]] * len(texts), dtype=np.float32)

    async def aclose(self) -> None:
        self.closed = True


async def test_vectors_are_those_of_the_inner_embedder() -> None:
    inner = HashEmbedder(8)
    embedder = InstrumentedEmbedder(inner, observer=Noted(), clock=ManualClock())
    assert embedder.info == inner.info
    assert np.array_equal(await embedder.embed(["a b", "c"]), await inner.embed(["a b", "c"]))


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(None, "ok"), (EmbeddingError("down"), "error"), (asyncio.CancelledError(), "cancelled")],
)
async def test_every_call_is_told_with_its_outcome(failure: BaseException | None, outcome: str) -> None:
    noted, inner = Noted(), Slow(failure)
    embedder = InstrumentedEmbedder(inner, observer=noted, clock=inner.clock)
    if failure is None:
        assert (await embedder.embed(["a", "b"])).shape == (2, 2)
    else:
        with pytest.raises(type(failure)):
            await embedder.embed(["a", "b"])
    ((*call, seconds),) = noted.calls
    assert call == ["slow", 2, outcome]
    assert seconds == pytest.approx(0.02)


async def test_closing_closes_the_inner_embedder() -> None:
    inner = Slow(None)
    await InstrumentedEmbedder(inner, observer=Noted(), clock=inner.clock).aclose()
    assert inner.closed


def test_the_metrics_are_an_observer() -> None:
    observer: EmbeddingObserver = Metrics()
    observer.embedding(model="m", texts=1, outcome="ok", seconds=0.1)


async def test_what_is_embedded_at_once_is_told_and_what_must_be_awaited_is_not() -> None:
    noted = Noted()
    embedder = InstrumentedEmbedder(HashEmbedder(8), observer=noted, clock=ManualClock())
    rows = embedder.at_once(["one", "two"])
    assert rows is not None
    np.testing.assert_array_equal(rows, await HashEmbedder(8).embed(["one", "two"]))
    assert [call[1:3] for call in noted.calls] == [(2, "ok")]
    slow = InstrumentedEmbedder(Slow(None), observer=noted, clock=ManualClock())
    assert slow.at_once(["one"]) is None
    assert len(noted.calls) == 1
