"""A memory that is written, found and removed through the client and the index that the router itself uses."""

import asyncio
import random
from typing import Final

from memrouter.config.memory import ValkeySettings
from memrouter.doctor.findings import Finding, broken, ok
from memrouter.embeddings.base import EmbedderInfo
from memrouter.errors import MemrouterError
from memrouter.stores.valkey.canary import Canary
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index import SearchIndex

CANARY_SECONDS: Final = 15.0
"""Longest that connecting and the canary may take."""

_WHY: Final = "a server that does not keep and find a memory makes the router forget"
_FIX: Final = "see the other findings and the server's log; then run memrouter doctor again"


async def canary_finding(settings: ValkeySettings, embedder: EmbedderInfo) -> Finding:
    """Return whether a memory can be kept, found and removed; there must be an index that fits."""
    try:
        async with asyncio.timeout(CANARY_SECONDS):
            await _sing(settings, embedder)
    except TimeoutError:
        return broken("canary", f"no memory was kept and found within {CANARY_SECONDS:g} s", why=_WHY, fix=_FIX)
    except MemrouterError as error:
        return broken("canary", str(error), why=_WHY, fix=_FIX)
    return ok("canary", "a memory was written, found and removed again")


async def _sing(settings: ValkeySettings, embedder: EmbedderInfo) -> None:
    connection = await Connection.open(settings)
    try:
        index = SearchIndex(connection, settings, dimension=embedder.dimension, embedding_model=embedder.model)
        await index.ensure()
        await Canary(connection, index, rng=random.SystemRandom()).sing()
    finally:
        await connection.aclose()
