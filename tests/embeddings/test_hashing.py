import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.embeddings.hashing import HashEmbedder


@given(st.lists(st.text(st.characters()), max_size=4), st.integers(1, 100))
def test_any_text_gives_a_unit_vector(texts: list[str], dimension: int) -> None:
    rows = asyncio.run(HashEmbedder(dimension).embed(texts))
    assert rows.shape == (len(texts), dimension)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), np.ones(len(texts)), atol=1e-5)


async def test_vectors_are_the_same_in_every_process() -> None:
    row = (await HashEmbedder(16).embed(["one two three four"]))[0]
    assert {at: round(float(row[at]), 3) for at in np.flatnonzero(row)} == {7: -0.707, 9: -0.707}


async def test_texts_that_share_words_are_nearer_than_others() -> None:
    asked, near, far = await HashEmbedder().embed(["what is my dog called", "My DOG is called Rex!", "book a flight"])
    assert asked @ near > 0.5 > asked @ far + 0.2


@pytest.mark.parametrize("text", ["", "  \n", "?!…"])
async def test_a_text_without_words_gives_the_first_basis_vector(text: str) -> None:
    assert (await HashEmbedder(3).embed([text])).tolist() == [[1.0, 0.0, 0.0]]


async def test_the_model_is_named_after_its_dimension() -> None:
    embedder = HashEmbedder(32)
    assert (embedder.info.model, embedder.info.dimension) == ("hash-32", 32)
    await embedder.aclose()
