"""The life of the index on a real server."""

import asyncio
import logging
import uuid
from typing import Any

import numpy as np
import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.errors import SchemaMismatch, StoreUnavailable
from memrouter.models.memory import Scope
from memrouter.stores.query import StoreQuery
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.records import RecordFactory
from memrouter.testing.valkey import ValkeyServer

DIMENSION = 8
MODEL = "model-a"


def an_index(
    connection: Connection, settings: ValkeySettings, *, dimension: int = DIMENSION, model: str = MODEL, **changes: Any
) -> SearchIndex:
    changed = settings.model_copy(update=changes)
    return SearchIndex(connection, changed, dimension=dimension, embedding_model=model)


async def put_go_row(connection: Connection, settings: ValkeySettings, memory_id: str) -> None:
    vector = np.ones(DIMENSION, dtype="<f4").tobytes()
    fields = ["id", memory_id, "user_id", "alice", "content", "tea", "memory_type", "semantic", "created_at", "1"]
    await connection.run(["HSET", settings.collection_prefix + memory_id, *fields, "embedding", vector])


async def filled(index: SearchIndex) -> None:
    """Wait until the server has read in what was there before the index."""
    await index.ensure()
    while (await index.recreate_if_missing()).backfilling:
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("algorithm", ["auto", "flat", "hnsw"])
@pytest.mark.parametrize("metric", ["COSINE", "L2", "IP"])
@pytest.mark.parametrize("text", [False, True])
async def test_an_index_that_was_made_is_adopted_without_a_difference(
    connection: Connection, settings: ValkeySettings, algorithm: str, metric: str, text: bool
) -> None:
    index = an_index(connection, settings, index_algorithm=algorithm, metric_type=metric, text_index=text)
    made = await index.ensure()
    assert made.algorithm == ("HNSW" if algorithm == "hnsw" else "FLAT")
    assert not made.legacy
    assert (await index.ensure()).notes == ()
    assert await index.meta() == {"embedding_model": MODEL, "dimension": str(DIMENSION), "format": "2"}


async def test_routers_that_start_at_once_make_one_index(connection: Connection, settings: ValkeySettings) -> None:
    indexes = [an_index(connection, settings) for _ in range(8)]
    states = await asyncio.gather(*(index.ensure() for index in indexes))
    assert {state.algorithm for state in states} == {"FLAT"}
    assert list(await connection.run(["FT._LIST"])).count(settings.index_name.encode()) >= 1


async def test_every_difference_is_spelled_out_with_its_fix(connection: Connection, settings: ValkeySettings) -> None:
    await an_index(connection, settings).ensure()
    other = an_index(
        connection, settings, metric_type="L2", index_algorithm="hnsw", collection_prefix="other:", text_index=True
    )
    with pytest.raises(SchemaMismatch) as caught:
        await other.ensure()
    message = str(caught.value)
    for words in ("metric_type is COSINE, configured is L2", "prefix is", "index_algorithm is FLAT", "field content"):
        assert words in message
    assert message.count("memrouter index rebuild") == 4


async def test_a_refused_configuration_leaves_no_trace(connection: Connection, settings: ValkeySettings) -> None:
    await connection.run(an_index(connection, settings).schema.create_command())
    with pytest.raises(SchemaMismatch, match="dimension is 8, configured is 16"):
        await an_index(connection, settings, dimension=16).ensure()
    assert await an_index(connection, settings).meta() == {}
    await an_index(connection, settings).ensure()


async def test_vectors_of_another_model_are_refused(connection: Connection, settings: ValkeySettings) -> None:
    await an_index(connection, settings).ensure()
    with pytest.raises(SchemaMismatch, match=r"model-a \(8 numbers\), but model-b .*reindex.* model-b"):
        await an_index(connection, settings, model="model-b").ensure()


async def test_a_newer_layout_is_refused(connection: Connection, settings: ValkeySettings) -> None:
    await an_index(connection, settings).ensure()
    await connection.run(["HSET", f"~{settings.collection_prefix}meta", "format", "99"])
    with pytest.raises(SchemaMismatch, match="newer memrouter"):
        await an_index(connection, settings).ensure()


async def test_an_hnsw_index_serves_auto_and_says_that_it_is_not_exact(
    connection: Connection, settings: ValkeySettings
) -> None:
    await an_index(connection, settings, index_algorithm="hnsw").ensure()
    state = await an_index(connection, settings, index_algorithm="auto").ensure()
    assert state.algorithm == "HNSW"
    assert "not exact" in state.notes[0]


async def test_another_graph_size_is_only_noted(connection: Connection, settings: ValkeySettings) -> None:
    await an_index(connection, settings, index_algorithm="hnsw", index_m=16).ensure()
    state = await an_index(connection, settings, index_algorithm="hnsw", index_m=32).ensure()
    assert any("index_m 16, configured is 32" in note for note in state.notes)


async def test_the_go_routers_index_is_adopted_with_a_warning(
    connection: Connection, settings: ValkeySettings, caplog: pytest.LogCaptureFixture
) -> None:
    await connection.run(an_index(connection, settings).schema.legacy_command())
    with caplog.at_level(logging.WARNING):
        state = await an_index(connection, settings, index_algorithm="flat").ensure()
    assert state.legacy
    assert "memrouter index rebuild" in caplog.text


async def test_the_go_routers_index_of_another_metric_is_refused(
    connection: Connection, settings: ValkeySettings
) -> None:
    await connection.run(an_index(connection, settings).schema.legacy_command())
    with pytest.raises(SchemaMismatch, match="metric_type"):
        await an_index(connection, settings, metric_type="IP").ensure()


async def test_memories_of_the_go_router_without_an_index_get_one_that_finds_them(
    connection: Connection, settings: ValkeySettings
) -> None:
    await put_go_row(connection, settings, "m1")
    index = an_index(connection, settings)
    assert (await index.ensure()).legacy
    await filled(index)
    reply = await connection.run(["FT.SEARCH", settings.index_name, "@user_id:{alice}", "LIMIT", 0, 1])
    assert reply[0] == 1


async def test_a_dropped_index_is_made_again_and_its_memories_return(
    connection: Connection, settings: ValkeySettings
) -> None:
    index = an_index(connection, settings)
    await index.ensure()
    await put_go_row(connection, settings, "m1")
    assert await index.drop()
    assert not await index.drop()
    states = await asyncio.gather(*(index.recreate_if_missing() for _ in range(20)))
    assert not any(state.legacy for state in states)
    await filled(index)
    assert index.state.documents == 1


async def test_searches_never_fail_while_the_index_is_dropped_again_and_again(
    connection: Connection, settings: ValkeySettings
) -> None:
    store = await ValkeyStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)
    try:
        record = RecordFactory(store.capabilities).make("tea")
        await store.create([record])
        query = StoreQuery(vector=record.embedding, k=5, now=record.created_at, scan_limit=0)
        for _ in range(10):
            await connection.run(["FT.DROPINDEX", settings.index_name])
            await asyncio.gather(*(store.search(Scope("alice"), query) for _ in range(5)))
        await filled(an_index(connection, settings))
        found = (await store.search(Scope("alice"), query)).records
        assert [one.id for one in found or ()] == [record.id]
    finally:
        await store.aclose()


async def test_a_dropped_index_of_the_go_router_returns_as_one(
    connection: Connection, settings: ValkeySettings
) -> None:
    await connection.run(an_index(connection, settings).schema.legacy_command())
    index = an_index(connection, settings)
    await index.ensure()
    await index.drop()
    assert (await index.recreate_if_missing()).legacy


async def test_a_strangers_index_in_its_place_is_refused_while_serving(
    connection: Connection, settings: ValkeySettings
) -> None:
    index = an_index(connection, settings)
    await index.ensure()
    await index.drop()
    await connection.run(an_index(connection, settings, metric_type="L2").schema.create_command())
    with pytest.raises(SchemaMismatch, match="metric_type"):
        await index.recreate_if_missing()


async def test_calls_that_wait_share_one_look(connection: Connection, settings: ValkeySettings) -> None:
    index = an_index(connection, settings)
    await index.ensure()
    states = await asyncio.gather(*(index.recreate_if_missing() for _ in range(10)))
    assert len({id(state) for state in states}) == 1


async def test_state_before_ensure_is_a_mistake_of_the_caller(connection: Connection, settings: ValkeySettings) -> None:
    with pytest.raises(RuntimeError, match="ensure"):
        _ = an_index(connection, settings).state


async def test_a_server_without_the_module_is_refused_with_the_way_out() -> None:
    async with ValkeyServer(search=False) as server:
        connection = await Connection.open(server.settings())
        try:
            index = an_index(connection, server.settings())
            with pytest.raises(StoreUnavailable, match=r"no Search module.*--loadmodule"):
                await index.ensure()
            with pytest.raises(StoreUnavailable, match=r"does not know FT.\* commands.*valkey-search 1\.2\.0"):
                await index.create()
        finally:
            await connection.aclose()


async def test_a_user_without_the_right_to_ask_for_versions_is_served(
    connection: Connection, settings: ValkeySettings
) -> None:
    password = uuid.uuid4().hex
    rules = ["on", f">{password}", "~*", "&*", "+@all", "-module"]
    await connection.run(["ACL", "SETUSER", "narrow", *rules])
    narrow = ValkeySettings.model_validate(settings.model_dump() | {"username": "narrow", "password": password})
    other = await Connection.open(narrow)
    try:
        assert not (await an_index(other, narrow).ensure()).legacy
    finally:
        await other.aclose()
        await connection.run(["ACL", "DELUSER", "narrow"])
