"""Opens an embedder by a name: the configuration's word for it, or the model's own, as stores write it down."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from memrouter.config.memory import MemorySettings
from memrouter.embeddings.base import Embedder, EmbedderInfo
from memrouter.embeddings.factory import MODEL_VARIABLE, MODELS, open_embedder
from memrouter.embeddings.padded import PaddedEmbedder
from memrouter.errors import ConfigError, ConfigProblem

_FIXED: Final = {"wordllama-l2-supercat-256": "wordllama", "all-MiniLM-L6-v2": "bert", "hash-64": "hash"}
"""Models that always go by the same word."""


@dataclass(frozen=True, slots=True)
class NamedEmbedder:
    """An open embedder without a cache.

    Attributes:
        embedder: Closed by the caller.
        word: What ``embedding_model`` has to be for a router to use it.
    """

    embedder: Embedder
    word: str


async def open_named_embedder(
    settings: MemorySettings, name: str, *, env: Mapping[str, str], dimension: int | None = None
) -> NamedEmbedder:
    """Return the embedder that ``name`` stands for.

    Args:
        settings: Where an endpoint and its model are named.
        name: ``wordllama``, ``openai`` and the like, or a model's own name, such as that of the endpoint's model.
        env: The environment, as for ``open_embedder``.
        dimension: Length of the vectors, at least the model's own; None: what the store is set to, where that is
            enough, else the model's own.

    Raises:
        ConfigError: No such model is known or configured, or the dimension is too small.
        MissingExtra: The model needs packages that are not installed.
    """
    configured = env.get(MODEL_VARIABLE, "").strip() or settings.embedding_model
    word = name if name in MODELS else _FIXED.get(name, configured)
    if name == settings.embedding_endpoint.model:
        word = "openai"
    chosen = settings.model_copy(
        update={
            "embedding_model": word,
            "limits": settings.limits.model_copy(update={"embedding_cache_entries": 0}),
        }
    )
    plain = {variable: value for variable, value in env.items() if variable != MODEL_VARIABLE}
    opened = await open_embedder(chosen, env=plain)
    try:
        length = _length(settings, name, word, opened.info, asked=dimension)
    except ConfigError:
        await opened.aclose()
        raise
    return NamedEmbedder(opened if length == opened.info.dimension else PaddedEmbedder(opened, length), word)


def _length(settings: MemorySettings, name: str, word: str, about: EmbedderInfo, *, asked: int | None) -> int:
    """Return the length of the vectors.

    Raises:
        ConfigError: The model is not the one that was named, or no router could be configured for this length.
    """
    if name not in (word, about.model):
        raise ConfigError([_unknown(name, about.model)])
    exact = settings.effective_backend == "sqlite"
    length = asked or max(settings.store_dimension or 0, about.dimension)
    if length < about.dimension or (exact and length != about.dimension):
        raise ConfigError([_unfit(length, about, exact=exact)])
    return length


def _unfit(length: int, about: EmbedderInfo, *, exact: bool) -> ConfigProblem:
    own = f"{about.dimension} (the dimension of {about.model})"
    return ConfigProblem(
        file="<command line>",
        line=None,
        key="--dimension",
        found=str(length),
        allowed=own if exact else f"{own} or more",
        hint="Leave it out",
    )


def _unknown(name: str, configured: str) -> ConfigProblem:
    return ConfigProblem(
        file="<command line>",
        line=None,
        key="--embedding-model",
        found=repr(name[:64]),
        allowed=", ".join((*MODELS, f"{configured} (as configured)")),
        hint="For a model behind an endpoint, set embedding_endpoint.model to it and use openai",
    )
