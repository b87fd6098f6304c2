"""A model is reachable if one of its servers takes connections."""

import pytest
from yarl import URL

from memrouter.errors import UpstreamUnreachable
from memrouter.testing.upstream import ScriptedUpstream
from memrouter.upstream.backend import Backend
from memrouter.upstream.probe import check_backends


def backend(url: str) -> Backend:
    return Backend(name=url, url=URL(url), headers={}, replaced=frozenset(), weight=1)


async def dead() -> Backend:
    server = ScriptedUpstream()
    await server.start()
    url = server.url
    await server.aclose()
    return backend(url)


async def test_one_live_backend_is_enough() -> None:
    async with ScriptedUpstream() as server:
        await check_backends({"m": [await dead(), backend(server.url)]}, patience=1)


async def test_models_without_a_live_backend_are_named() -> None:
    async with ScriptedUpstream() as server:
        models = {"up": [backend(server.url)], "down": [await dead()], "none": []}
        with pytest.raises(UpstreamUnreachable, match=r"for: down, none$"):
            await check_backends(models, patience=1)
