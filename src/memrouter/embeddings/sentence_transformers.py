"""``embedding_model: sentence-transformers``: a model folder, through the package of that name."""

import importlib
from pathlib import Path
from typing import Any

from memrouter.embeddings.base import EmbedderInfo
from memrouter.embeddings.local import LocalEmbedder
from memrouter.errors import ConfigError, ConfigProblem, MissingExtra

_EXTRA = "sentence-transformers"


def load_sentence_transformers(model_dir: str | None) -> LocalEmbedder:
    """Return the embedder; reads the weights, so call it in a thread. Nothing is downloaded.

    Args:
        model_dir: Folder of the model; its last part is the model's name.

    Raises:
        MissingExtra: sentence-transformers is not installed.
        ConfigError: There is no usable model in the folder.
    """
    try:
        package = importlib.import_module("sentence_transformers")
    except ImportError:
        raise MissingExtra(f"embedding_model: {_EXTRA}", _EXTRA) from None
    if not model_dir:
        raise ConfigError([_not_usable("nothing")])
    try:
        model = package.SentenceTransformer(model_dir, device="cpu", local_files_only=True)
        dimension = _dimension(model)
    except Exception as error:  # a missing file, a broken model: every layer below has errors of its own
        raise ConfigError([_not_usable(f"{model_dir!r}: {error}")]) from error

    name = Path(model_dir).resolve().name
    return LocalEmbedder(
        lambda texts: model.encode(texts, show_progress_bar=False),
        info=EmbedderInfo(model=name, dimension=dimension, default_threshold=0.69),
    )


def _dimension(model: Any) -> int:
    renamed = getattr(model, "get_embedding_dimension", None)  # since version 6, which warns about the old name
    return int((renamed or model.get_sentence_embedding_dimension)())


def _not_usable(found: str) -> ConfigProblem:
    return ConfigProblem(
        file="<environment>",
        line=None,
        key="MEMROUTER_MODEL_DIR",
        found=found,
        allowed="the folder of a sentence-transformers model",
        hint="Or choose the bundled model: embedding_model: wordllama",
    )
