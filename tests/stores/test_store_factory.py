"""The configuration chooses the store."""

import os
from pathlib import Path

import pytest

from memrouter.config.memory import MemorySettings, MilvusSettings, SqliteSettings, ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.stores.factory import open_store
from memrouter.testing.valkey import apart, forget, free_port, some_server


async def test_without_a_backend_the_embedded_store_is_opened(tmp_path: Path) -> None:
    settings = MemorySettings(sqlite=SqliteSettings(path=str(tmp_path / "memories.db")))
    store = await open_store(settings, dimension=8, embedding_model="m")
    try:
        assert (store.capabilities.backend, store.capabilities.dimension) == ("sqlite", 8)
        await store.check()
    finally:
        await store.aclose()


@pytest.mark.parametrize("named", [True, False])
async def test_a_milvus_block_chooses_milvus(tmp_path: Path, named: bool) -> None:
    milvus = MilvusSettings(address=str(tmp_path / "memories.db"))
    settings = MemorySettings(backend="milvus" if named else None, milvus=milvus)
    store = await open_store(settings, dimension=8, embedding_model="m")
    try:
        assert (store.capabilities.backend, store.capabilities.dimension) == ("milvus", 8)
        await store.check()
    finally:
        await store.aclose()


async def test_a_valkey_block_alone_chooses_valkey() -> None:
    with some_server(os.environ) as server:
        settings = apart(server)
        store = await open_store(MemorySettings(valkey=settings), dimension=8, embedding_model="m")
        try:
            assert (store.capabilities.backend, store.capabilities.dimension) == ("valkey", 8)
            await store.check()
        finally:
            await store.aclose()
            await forget(settings)


async def test_a_valkey_server_that_is_not_there_is_named() -> None:
    settings = ValkeySettings(host="127.0.0.1", port=free_port(), timeout=0.2)
    with pytest.raises(
        StoreUnavailable, match=rf"127\.0\.0\.1:{settings.port} cannot be reached \(Connection refused\)"
    ):
        await open_store(MemorySettings(backend="valkey", valkey=settings), dimension=8, embedding_model="m")
