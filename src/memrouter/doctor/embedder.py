"""Whether the embedder loads and works."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from memrouter.config.memory import MemorySettings
from memrouter.doctor.findings import Finding, broken, ok
from memrouter.embeddings.base import EmbedderInfo
from memrouter.embeddings.factory import open_embedder
from memrouter.errors import ConfigError, EmbeddingError

EMBED_SECONDS = 60.0
"""Longest that loading and one text may take; a model from the hub is downloaded the first time."""


@dataclass(frozen=True, slots=True)
class EmbedderLook:
    """What was seen of the embedder; ``info`` is None where it cannot be opened."""

    finding: Finding
    info: EmbedderInfo | None = None


async def look_at_embedder(memory: MemorySettings, *, env: Mapping[str, str]) -> EmbedderLook:
    """Load the embedder as the router does, embed one word, and let go of it."""
    why = "without vectors nothing can be stored or found by meaning"
    try:
        async with asyncio.timeout(EMBED_SECONDS):
            embedder = await open_embedder(memory, env=env, dimension=memory.store_dimension)
    except ConfigError as error:
        fix = next((problem.hint for problem in error.problems if problem.hint), "correct embedding_model")
        return EmbedderLook(broken("embedder", str(error), why=why, fix=fix))
    except TimeoutError:
        fix = "give MEMROUTER_MODEL_DIR a local folder with the model, or use embedding_model: wordllama"
        return EmbedderLook(broken("embedder", f"not loaded within {EMBED_SECONDS:g} s", why=why, fix=fix))
    info = embedder.info
    try:
        async with asyncio.timeout(EMBED_SECONDS):
            await embedder.embed(["ready"])
    except (EmbeddingError, TimeoutError) as error:
        seen = str(error) or f"no vector within {EMBED_SECONDS:g} s"
        fix = "start the embedding endpoint and check global.stores.memory.embedding_endpoint: base_url, model, api_key"
        return EmbedderLook(broken("embedder", seen, why=why, fix=fix), info)
    finally:
        await embedder.aclose()
    return EmbedderLook(ok("embedder", f"{info.model} gives vectors of {info.dimension} numbers"), info)
