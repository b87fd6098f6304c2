"""``embedding_model: bert``: all-MiniLM-L6-v2 as ONNX on the CPU, through the fastembed package."""

import importlib

from memrouter.embeddings.base import EmbedderInfo
from memrouter.embeddings.local import LocalEmbedder
from memrouter.errors import ConfigError, ConfigProblem, MissingExtra

_INFO = EmbedderInfo(model="all-MiniLM-L6-v2", dimension=384, default_threshold=0.69)


def load_fastembed(model_dir: str | None) -> LocalEmbedder:
    """Return the embedder; reads about 90 MB and may download them, so call it in a thread.

    Args:
        model_dir: Folder with ``model.onnx``, ``tokenizer.json`` and the other files of the model; None takes them
            from the Hugging Face cache, or downloads them (never with ``HF_HUB_OFFLINE=1``).

    Raises:
        MissingExtra: fastembed is not installed.
        ConfigError: The model cannot be loaded.
    """
    try:
        package = importlib.import_module("fastembed")
    except ImportError:
        raise MissingExtra("embedding_model: bert", "bert") from None
    where = {"specific_model_path": model_dir} if model_dir else {}
    try:
        model = package.TextEmbedding("sentence-transformers/all-MiniLM-L6-v2", **where)
    except Exception as error:  # a missing file, no network, a broken model: every layer below has errors of its own
        raise ConfigError([_cannot_load(model_dir, error)]) from error
    return LocalEmbedder(model.embed, info=_INFO)


def _cannot_load(model_dir: str | None, error: Exception) -> ConfigProblem:
    return ConfigProblem(
        file="<environment>",
        line=None,
        key="MEMROUTER_MODEL_DIR",
        found=f"{model_dir!r}: {error}" if model_dir else f"nothing, and the download failed: {error}",
        allowed="a folder with all-MiniLM-L6-v2 as ONNX (model.onnx, tokenizer.json, config.json)",
        hint="Or choose the bundled model: embedding_model: wordllama",
    )
