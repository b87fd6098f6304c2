"""Whether the reranker can be had and answers in its time."""

import asyncio
from collections.abc import Mapping

from memrouter.config.reranking import RerankerSettings
from memrouter.doctor.findings import Finding, broken, ok, warning
from memrouter.errors import ConfigError, RerankError
from memrouter.rerankers.factory import open_reranker

_SECTION = "global.stores.memory.reranker"


async def reranker_findings(settings: RerankerSettings, *, env: Mapping[str, str]) -> list[Finding]:
    """Open the reranker as the router does, let it score one word, and let go of it; return nothing where none is set.

    Args:
        settings: Its section.
        env: Environment variables, for the key.
    """
    try:
        reranker = await open_reranker(settings, env=env)
    except ConfigError as error:
        fix = next((problem.hint for problem in error.problems if problem.hint), f"correct {_SECTION}")
        return [broken("reranker", str(error), why="the router does not start", fix=fix)]
    if reranker is None:
        return []
    try:
        async with asyncio.timeout(settings.timeout_ms / 1000):
            await reranker.score("ready", ["ready"])
    except TimeoutError:
        return [_silent(f"no score within {settings.timeout_ms} ms")]
    except RerankError as error:
        return [_silent(str(error))]
    finally:
        await reranker.aclose()
    return [ok("reranker", f"{settings.model or settings.path} scores texts")]


def _silent(seen: str) -> Finding:
    return warning(
        "reranker",
        seen,
        why="memories keep the order that they have without it",
        fix=f"start it and check {_SECTION}: base_url, model, api_key; where it is slow, raise timeout_ms",
    )
