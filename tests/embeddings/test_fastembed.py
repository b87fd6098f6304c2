"""The package itself is optional and large: a stand-in with the same interface takes its place."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from memrouter.embeddings.fastembed import load_fastembed
from memrouter.errors import ConfigError, MissingExtra


class TextEmbedding:
    def __init__(self, model_name: str, **where: str) -> None:
        if where.get("specific_model_path") == "/absent":
            raise FileNotFoundError("model.onnx")
        self.asked_for = (model_name, where)

    def embed(self, documents: list[str]) -> Iterator[np.ndarray]:
        assert self.asked_for == ("sentence-transformers/all-MiniLM-L6-v2", {"specific_model_path": "/models"})
        return (np.full(384, len(text), dtype=np.float32) for text in documents)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastembed", SimpleNamespace(TextEmbedding=TextEmbedding))


@pytest.mark.usefixtures("package")
async def test_the_model_is_taken_from_the_folder() -> None:
    embedder = load_fastembed("/models")
    rows = await embedder.embed(["a", "bb"])
    await embedder.aclose()
    assert (embedder.info.model, embedder.info.dimension) == ("all-MiniLM-L6-v2", 384)
    np.testing.assert_allclose(rows, np.full((2, 384), 384**-0.5), atol=1e-6)


@pytest.mark.usefixtures("package")
def test_a_model_that_cannot_be_loaded_is_a_configuration_error_with_the_ways_out() -> None:
    with pytest.raises(ConfigError, match=r"MEMROUTER_MODEL_DIR.*model\.onnx.*wordllama"):
        load_fastembed("/absent")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastembed", None)
    with pytest.raises(MissingExtra, match=r"memrouter\[bert\]"):
        load_fastembed(None)
