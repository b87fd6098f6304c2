"""A server that takes memories and does not find them is not ready."""

import asyncio
import random
from dataclasses import replace

import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.stores.valkey.canary import Canary
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index import SearchIndex
from memrouter.testing.valkey import ValkeyServer


@pytest.fixture
async def index(connection: Connection, settings: ValkeySettings) -> SearchIndex:
    return SearchIndex(connection, settings, dimension=8, embedding_model="m")


@pytest.fixture
def canary(connection: Connection, index: SearchIndex) -> Canary:
    return Canary(connection, index, rng=random.Random(1))


async def filled(index: SearchIndex) -> None:
    while (await index.recreate_if_missing()).backfilling:
        await asyncio.sleep(0.02)


async def left_over(connection: Connection, settings: ValkeySettings) -> list[bytes]:
    return [key async for keys in connection.scan(f"{settings.collection_prefix}*") for key in keys]


async def test_a_working_server_passes_and_nothing_is_left(
    connection: Connection, settings: ValkeySettings, index: SearchIndex, canary: Canary
) -> None:
    await index.ensure()
    await filled(index)
    await canary.check()
    assert await left_over(connection, settings) == []


async def test_the_go_routers_index_passes(connection: Connection, index: SearchIndex, canary: Canary) -> None:
    await connection.run(index.schema.legacy_command())
    assert (await index.ensure()).legacy
    await filled(index)
    await canary.check()


async def test_a_dropped_index_is_made_again_and_passes(index: SearchIndex, canary: Canary) -> None:
    await index.ensure()
    await index.drop()
    await canary.sing()
    await index.drop()
    await filled(index)
    await canary.check()


async def test_a_server_that_takes_writes_and_finds_nothing_does_not_pass(
    connection: Connection, settings: ValkeySettings, index: SearchIndex, canary: Canary
) -> None:
    await index.ensure()
    await index.drop()
    elsewhere = settings.model_copy(update={"collection_prefix": f"x{settings.collection_prefix}"})
    await connection.run(SearchIndex(connection, elsewhere, dimension=8, embedding_model="m").schema.create_command())
    with pytest.raises(StoreUnavailable, match="takes memories and does not find them"):
        await canary.sing()
    assert await left_over(connection, settings) == []


async def test_a_server_out_of_memory_does_not_pass() -> None:
    async with ValkeyServer() as server:
        connection = await Connection.open(server.settings())
        try:
            index = SearchIndex(connection, server.settings(), dimension=8, embedding_model="m")
            await index.ensure()
            await connection.run(["CONFIG", "SET", "maxmemory", "1mb", "maxmemory-policy", "noeviction"])
            with pytest.raises(StoreUnavailable, match="maxmemory"):
                await Canary(connection, index, rng=random.Random(1)).check()
        finally:
            await connection.aclose()


async def test_a_backfill_that_runs_or_stands_still_is_told(index: SearchIndex) -> None:
    state = replace(await index.ensure(), backfilling=False)
    assert state.trouble == ""
    assert "37% done" in replace(state, backfilling=True, progress=0.37).trouble
    assert "want of memory" in replace(state, backfilling=True, paused=True).trouble
