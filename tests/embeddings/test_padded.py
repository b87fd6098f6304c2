import numpy as np
import pytest

from memrouter.embeddings.hashing import HashEmbedder
from memrouter.embeddings.padded import PaddedEmbedder

TEXTS = ["my dog is called Rex", "what is my dog called", "a flight to Lisbon", ""]


async def test_lengths_and_cosines_do_not_change() -> None:
    inner = HashEmbedder(16)
    plain, padded = await inner.embed(TEXTS), await PaddedEmbedder(inner, 40).embed(TEXTS)
    assert padded.shape == (4, 40)
    assert padded.dtype == np.float32
    np.testing.assert_allclose(padded @ padded.T, plain @ plain.T, atol=1e-6)


def test_the_model_keeps_its_name_and_threshold() -> None:
    inner = HashEmbedder(16)
    info = PaddedEmbedder(inner, 40).info
    assert (info.model, info.dimension, info.default_threshold) == ("hash-16", 40, inner.info.default_threshold)


async def test_no_texts_give_no_rows_of_the_larger_dimension() -> None:
    assert (await PaddedEmbedder(HashEmbedder(16), 40).embed([])).shape == (0, 40)


def test_a_smaller_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        PaddedEmbedder(HashEmbedder(16), 15)
