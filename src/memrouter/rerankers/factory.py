"""The one place that knows which rerankers there are and what each of them needs."""

import asyncio
from collections.abc import Mapping

from memrouter.config.api_keys import resolve_api_key
from memrouter.config.reranking import RerankerSettings
from memrouter.rerankers.base import Reranker
from memrouter.rerankers.onnx import load_onnx

_SECTION = "global.stores.memory.reranker"


async def open_reranker(settings: RerankerSettings, *, env: Mapping[str, str]) -> Reranker | None:
    """Return the configured reranker; None where there is none.

    Args:
        settings: The section.
        env: The environment, where ``api_key_env`` is looked up.

    Raises:
        ConfigError: The key is missing or cannot be sent, or the model cannot be loaded.
        MissingExtra: The model needs packages that are not installed.
    """
    match settings.kind:
        case "endpoint":
            from memrouter.rerankers.endpoint import EndpointReranker  # its HTTP client takes a tenth of the start

            key = resolve_api_key(settings, env=env, path=_SECTION, whose="the rerank endpoint")
            return EndpointReranker(settings, api_key=key)
        case "onnx":
            return await asyncio.to_thread(load_onnx, settings.path)
        case None:
            return None
