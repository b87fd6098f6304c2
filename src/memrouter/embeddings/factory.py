"""The one place that knows which embedders there are and what each of them needs."""

import asyncio
import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

from tokenizers import Tokenizer

from memrouter.config.api_keys import resolve_api_key
from memrouter.config.memory import MemorySettings
from memrouter.embeddings.base import Embedder
from memrouter.embeddings.cached import CachedEmbedder
from memrouter.embeddings.fastembed import load_fastembed
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.embeddings.padded import PaddedEmbedder
from memrouter.embeddings.sentence_transformers import load_sentence_transformers
from memrouter.embeddings.wordllama import WordLlamaEmbedder
from memrouter.errors import ConfigError, ConfigProblem

MODEL_VARIABLE = "MEMROUTER_EMBEDDING_MODEL"
MODEL_DIR_VARIABLE = "MEMROUTER_MODEL_DIR"
_SECTION = "global.stores.memory"
MODELS = ("wordllama", "openai", "hash", "bert", "sentence-transformers")
"""What ``embedding_model`` may be."""
_FOREIGN_MODELS = ("mmbert", "qwen3", "gemma", "multimodal")

_log = logging.getLogger(__name__)


async def open_embedder(
    settings: MemorySettings,
    *,
    env: Mapping[str, str],
    dimension: int | None = None,
    tokenizer: Tokenizer | None = None,
) -> CachedEmbedder:
    """Return the configured embedder behind its cache.

    Args:
        settings: ``embedding_model``, ``embedding_endpoint`` and the size of the cache.
        env: The environment: ``MEMROUTER_EMBEDDING_MODEL`` wins over the settings, ``MEMROUTER_MODEL_DIR`` names the
            folder of a local model, and ``embedding_endpoint.api_key_env`` is looked up here.
        dimension: What the store is set to; larger than the embedder's: vectors are padded with zeros, which is
            logged once; None: as the embedder has it.
        tokenizer: The bundled one, where it is loaded already.

    Raises:
        ConfigError: An unknown model, a missing or unusable setting, or a dimension smaller than the embedder's.
        MissingExtra: The model needs packages that are not installed.
    """
    embedder = await _open(settings, env, tokenizer)
    own = embedder.info.dimension
    if dimension is not None and dimension < own:
        await embedder.aclose()
        raise ConfigError([_too_small(settings, embedder.info.model, own, dimension)])
    if dimension is not None and dimension > own:
        _log.info(
            "vectors of %s (%d numbers) are padded with zeros to the store's dimension %d; scores do not change",
            embedder.info.model,
            own,
            dimension,
        )
        embedder = PaddedEmbedder(embedder, dimension)
    return CachedEmbedder(embedder, entries=settings.limits.embedding_cache_entries)


async def _open(settings: MemorySettings, env: Mapping[str, str], tokenizer: Tokenizer | None) -> Embedder:
    override = env.get(MODEL_VARIABLE, "").strip()
    model_dir = env.get(MODEL_DIR_VARIABLE) or None
    match override or settings.embedding_model:
        case "wordllama":
            return await asyncio.to_thread(WordLlamaEmbedder.load, tokenizer)
        case "openai":
            from memrouter.embeddings.openai import OpenAIEmbedder  # its HTTP client takes a tenth of the start

            endpoint = settings.embedding_endpoint
            _check_url(endpoint.base_url)
            key = resolve_api_key(
                endpoint, env=env, path=f"{_SECTION}.embedding_endpoint", whose="the embedding endpoint"
            )
            return OpenAIEmbedder(endpoint, api_key=key)
        case "hash":
            return HashEmbedder()
        case "bert":
            return await asyncio.to_thread(load_fastembed, model_dir)
        case "sentence-transformers":
            return await asyncio.to_thread(load_sentence_transformers, model_dir)
        case name:
            raise ConfigError([_unknown(name, from_env=bool(override))])


def _unknown(name: str, *, from_env: bool) -> ConfigProblem:
    foreign = "This model of the Go router is not part of memrouter. " if name in _FOREIGN_MODELS else ""
    return ConfigProblem(
        file="<environment>" if from_env else "<configuration>",
        line=None,
        key=MODEL_VARIABLE if from_env else f"{_SECTION}.embedding_model",
        found=repr(name[:64]),
        allowed=", ".join(MODELS),
        hint=f"{foreign}Serve it behind an OpenAI-compatible endpoint (embedding_model: openai with "
        f"embedding_endpoint), or use the bundled model ({MODEL_VARIABLE}=wordllama)",
    )


def _too_small(settings: MemorySettings, model: str, own: int, dimension: int) -> ConfigProblem:
    return ConfigProblem(
        file="<configuration>",
        line=None,
        key=f"{_SECTION}.{settings.effective_backend}.dimension",
        found=str(dimension),
        allowed=f"{own} (the dimension of {model}) or more",
        hint="Leave dimension out, or choose an embedding_model with shorter vectors",
    )


def _check_url(base_url: str) -> None:
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        usable = usable and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            [
                ConfigProblem(
                    file="<configuration>",
                    line=None,
                    key=f"{_SECTION}.embedding_endpoint.base_url",
                    found="an address that cannot be used",
                    allowed="http://HOST:PORT/v1 or https://HOST/v1, without user or password",
                    hint="A key belongs in api_key_env",
                )
            ]
        )
