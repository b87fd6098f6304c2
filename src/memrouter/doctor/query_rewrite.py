"""Whether the model that rewrites queries is there and answers in its time."""

import asyncio
import random
from collections.abc import Mapping

import msgspec

from memrouter.clock import Clock
from memrouter.config.settings import Settings
from memrouter.doctor.findings import Finding, ok, warning
from memrouter.errors import MemrouterError
from memrouter.memory.retrieval.rewrite_prompt import rewrite_messages
from memrouter.upstream.base import UpstreamRequest
from memrouter.upstream.client import HttpUpstream

_SECTION = "global.stores.memory.query_rewrite"


async def query_rewrite_findings(settings: Settings, *, env: Mapping[str, str], clock: Clock) -> list[Finding]:
    """Ask the model to rewrite one word, and return whether it answered; nothing where no model is meant for it.

    Args:
        settings: The whole configuration.
        env: Environment variables, for keys.
        clock: Tells the time.
    """
    rewrite, model = settings.memory.query_rewrite, settings.rewriting_model
    if model is None:
        missing = rewrite.enabled and rewrite.model
        return [_silent(f"providers.models has no model '{rewrite.model}'")] if missing else []
    body = {
        "model": model.upstream_name,
        "messages": rewrite_messages([], "ready"),
        "max_tokens": rewrite.max_tokens,
        "stream": False,
    }
    seconds = rewrite.timeout_ms / 1000
    request = UpstreamRequest(model=model.name, body=msgspec.json.encode(body), headers={}, timeout=seconds)
    try:
        async with asyncio.timeout(seconds):
            status = await _status(settings, request, env=env, clock=clock)
    except TimeoutError:
        return [_silent(f"{model.name}: no answer within {rewrite.timeout_ms} ms")]
    except MemrouterError as error:
        return [_silent(f"{model.name}: {error}")]
    if status != 200:
        return [_silent(f"{model.name} answered with status {status}")]
    return [ok("query rewrite", f"{model.name} answers")]


async def _status(settings: Settings, request: UpstreamRequest, *, env: Mapping[str, str], clock: Clock) -> int:
    """Return the status of the answer, once all of it has come."""
    upstream = HttpUpstream(settings, env=env, clock=clock, rng=random.SystemRandom())
    try:
        reply = await upstream.send(request)
        try:
            async for _ in reply.chunks():
                pass
            return reply.status
        finally:
            await reply.aclose()
    finally:
        await upstream.aclose()


def _silent(seen: str) -> Finding:
    return warning(
        "query rewrite",
        seen,
        why="messages are searched for as they are, after the time that waiting for it takes",
        fix=f"start the model's server and check its backend_refs; where it is slow, raise {_SECTION}.timeout_ms; "
        f"without such a model, set {_SECTION}.enabled: false",
    )
