import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from memrouter.embeddings.base import EmbedderInfo
from memrouter.embeddings.local import Encode, LocalEmbedder
from memrouter.errors import EmbeddingError

INFO = EmbedderInfo(model="m", dimension=2, default_threshold=0.7)


def lengths(texts: list[str]) -> Iterator[np.ndarray]:
    return (np.array([len(text), 1.0]) for text in texts)


async def test_rows_are_of_unit_length_and_in_order() -> None:
    embedder = LocalEmbedder(lengths, info=INFO)
    rows = await embedder.embed(["a", "", "abc"])
    np.testing.assert_allclose(rows, [[0.5**0.5, 0.5**0.5], [1, 0], [3 / 10**0.5, 1 / 10**0.5]], atol=1e-6)
    await embedder.aclose()


async def test_the_model_is_not_asked_about_nothing() -> None:
    asked: list[list[str]] = []

    def note(texts: list[str]) -> Iterator[np.ndarray]:
        asked.append(texts)
        return lengths(texts)

    embedder = LocalEmbedder(note, info=INFO)
    assert (await embedder.embed([])).shape == (0, 2)
    assert (await embedder.embed([" "])).tolist() == [[1.0, 0.0]]
    await embedder.aclose()
    assert asked == []


async def test_the_model_runs_in_one_thread_outside_the_event_loop() -> None:
    threads: set[threading.Thread] = set()

    def note(texts: list[str]) -> Iterator[np.ndarray]:
        threads.add(threading.current_thread())
        return lengths(texts)

    embedder = LocalEmbedder(note, info=INFO)
    await asyncio.gather(*(embedder.embed(["a"]) for _ in range(8)))
    await embedder.aclose()
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def fail(texts: list[str]) -> Iterator[np.ndarray]:
    raise RuntimeError(f"cannot encode {texts}")


@pytest.mark.parametrize(
    "encode",
    [
        fail,
        lambda texts: [np.zeros(3) for _ in texts],
        lambda _texts: [],
        lambda texts: [np.array([np.nan, 1.0]) for _ in texts],
    ],
)
async def test_a_model_that_fails_is_an_embedding_error_without_the_text(encode: Encode) -> None:
    embedder = LocalEmbedder(encode, info=INFO)
    with pytest.raises(EmbeddingError) as failure:
        await embedder.embed(["a private sentence"])
    await embedder.aclose()
    assert "private" not in str(failure.value)
    assert failure.value.__cause__ is None


async def test_after_closing_it_refuses_and_closing_again_is_harmless() -> None:
    embedder = LocalEmbedder(lengths, info=INFO)
    await embedder.aclose()
    await embedder.aclose()
    with pytest.raises(EmbeddingError, match="closed"):
        await embedder.embed(["a"])
