"""What is seen of a store from outside, on real ones, and that looking changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from memrouter.config.memory import MemorySettings, MilvusSettings, SqliteSettings, ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.inspector.operations.store_state import look_at_store, valkey_state
from memrouter.models.memory import Scope
from memrouter.stores.base import Capabilities
from memrouter.stores.embedding_space import EmbeddingSpace, Phase, UnderWay
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.valkey.index_info import parse_info
from memrouter.stores.valkey.schema import IndexSchema
from memrouter.stores.valkey.server import ServerFacts
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.records import RecordFactory
from memrouter.testing.valkey import ValkeyServer, serving

CAPABILITIES = Capabilities("valkey", 16, "test-model", exact=True)
FACTS = ServerFacts("Valkey", (9, 1, 2), "valkey-search", (1, 2, 1), "master")
SCHEMA = IndexSchema.from_settings(ValkeySettings(), dimension=16)


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteSettings]:
    settings = SqliteSettings(path=str(tmp_path / "a b?#%.db"), synchronous="normal")
    store = await SqliteStore.open(settings, dimension=16, embedding_model="test-model")
    yield settings
    await store.aclose()


async def test_a_file_is_told_with_its_size(sqlite: SqliteSettings) -> None:
    state = await look_at_store(MemorySettings(sqlite=sqlite), CAPABILITIES)
    assert state.place == sqlite.path
    assert state.server.startswith("SQLite 3.")
    assert state.file_bytes is not None
    assert state.file_bytes >= 4096
    assert (state.index, state.reindex, state.problems) == (None, None, ())


async def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "missing.db"
    with pytest.raises(StoreUnavailable, match="missing"):
        await look_at_store(MemorySettings(sqlite=SqliteSettings(path=str(missing))), CAPABILITIES)
    assert not missing.exists()


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("shopping list: " + "milk " * 2000)
    with pytest.raises(Exception, match="notes"):
        await look_at_store(MemorySettings(sqlite=SqliteSettings(path=str(path))), CAPABILITIES)
    assert path.read_text().startswith("shopping list")


async def test_a_store_that_keeps_silent_does_not_hold_the_page_up(sqlite: SqliteSettings) -> None:
    with pytest.raises(StoreUnavailable, match="no answer within 0 s"):
        await look_at_store(MemorySettings(sqlite=sqlite), CAPABILITIES, seconds=0)


def test_an_index_on_a_real_server_is_told() -> None:
    asyncio.run(_look_at_a_real_server())  # the client of Valkey stays with the first event loop that is not closed


async def _look_at_a_real_server() -> None:
    async with ValkeyServer() as server:
        settings = server.settings(dimension=16)
        memory = MemorySettings(valkey=settings)
        before = await look_at_store(memory, CAPABILITIES)
        assert before.index is None
        assert "does not exist" in before.problems[0]
        store = await ValkeyStore.open(settings, dimension=16, embedding_model="test-model")
        record = RecordFactory(store.capabilities).make(user_id="anna")
        await store.create([record])
        await serving(store)
        state = await look_at_store(memory, store.capabilities)
        assert state.server.startswith("Valkey 9.")
        assert "with RediSearch" in state.server
        assert state.index is not None
        assert (state.index.name, state.index.algorithm) == (settings.index_name, "FLAT")
        assert (state.index.progress, state.index.failures, state.index.paused) == (1.0, 0, False)
        assert state.problems == ()
        assert len(await store.get(Scope("anna", None), [record.id], now=0)) == 1
        await store.aclose()


def described(**changes: Any) -> Any:
    fields = [["identifier", "embedding", "attribute", "embedding", "type", "VECTOR", "algorithm", "HNSW", "dim", 8]]
    info = {
        "index_definition": ["key_type", "HASH", "prefixes", ["mem:"]],
        "attributes": fields,
        "num_docs": 7,
        **changes,
    }
    return parse_info([part for pair in info.items() for part in pair])


def test_an_index_that_is_being_filled_says_how_far() -> None:
    found = described(backfill_in_progress=1, backfill_complete_percent="0.25", hash_indexing_failures=3)
    state = valkey_state(FACTS, found, {}, schema=SCHEMA, place="h:1", cluster=False)
    assert state.index is not None
    assert (state.index.documents, state.index.progress, state.index.failures) == (7, 0.25, 3)
    assert state.server == "Valkey 9.1.2 with valkey-search 1.2.1"
    assert any("configured is" in remark for remark in state.index.remarks)


def test_a_reindex_under_way_is_told() -> None:
    notes = {"reindex_model": "new", "reindex_dimension": "8", "reindex_phase": "sealed"}
    state = valkey_state(FACTS, None, notes, schema=SCHEMA, place="h:1", cluster=False)
    assert state.reindex == UnderWay(EmbeddingSpace("new", 8), Phase.SEALED)


async def test_milvus_lite_is_not_opened_a_second_time(tmp_path: Path) -> None:
    memory = MemorySettings(milvus=MilvusSettings(address=str(tmp_path / "lite.db")))
    state = await look_at_store(memory, CAPABILITIES)
    assert (state.server, state.index) == ("Milvus Lite", None)
    assert not (tmp_path / "lite.db").exists()


async def test_a_collection_of_a_real_milvus_is_told(milvus_server: MilvusSettings) -> None:
    settings = milvus_server.model_copy(update={"collection": "not_made_for_the_inspector"})
    state = await look_at_store(MemorySettings(milvus=settings), CAPABILITIES, seconds=20)
    assert state.server.startswith("Milvus v2") or state.server.startswith("Milvus 2")
    assert "does not exist" in state.problems[0]
