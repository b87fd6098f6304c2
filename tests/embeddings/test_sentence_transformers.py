"""The package itself is optional and large: a stand-in with the same interface takes its place."""

import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from memrouter.embeddings.sentence_transformers import load_sentence_transformers
from memrouter.errors import ConfigError, MissingExtra


class BeforeVersion6:
    def __init__(self, folder: str, *, device: str, local_files_only: bool) -> None:
        assert device == "cpu"
        assert local_files_only
        if folder == "/absent":
            raise OSError("no such folder")

    def get_sentence_embedding_dimension(self) -> int:
        return 5

    def encode(self, texts: list[str], *, show_progress_bar: bool) -> np.ndarray:
        assert not show_progress_bar
        return np.ones((len(texts), 5), dtype=np.float32)


class SinceVersion6(BeforeVersion6):
    def get_sentence_embedding_dimension(self) -> int:
        warnings.warn("renamed to get_embedding_dimension", FutureWarning, stacklevel=2)
        return 5

    def get_embedding_dimension(self) -> int:
        return 5


@pytest.fixture(params=[BeforeVersion6, SinceVersion6])
def package(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SimpleNamespace(SentenceTransformer=request.param)
    monkeypatch.setitem(sys.modules, "sentence_transformers", stand_in)


@pytest.mark.usefixtures("package")
async def test_the_folder_gives_name_dimension_and_vectors() -> None:
    embedder = load_sentence_transformers("/models/my-model/")
    rows = await embedder.embed(["a", "bb"])
    await embedder.aclose()
    assert (embedder.info.model, embedder.info.dimension) == ("my-model", 5)
    np.testing.assert_allclose(rows, np.full((2, 5), 5**-0.5), atol=1e-6)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("folder", [None, "/absent"])
def test_without_a_usable_folder_the_variable_is_named(folder: str | None) -> None:
    with pytest.raises(ConfigError, match="MEMROUTER_MODEL_DIR"):
        load_sentence_transformers(folder)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"memrouter\[sentence-transformers\]"):
        load_sentence_transformers("/models")
