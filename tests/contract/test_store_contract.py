"""The store contract on every backend that this version has."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memrouter.config.memory import RedisCacheSettings, SqliteSettings, ValkeySettings
from memrouter.observability.metrics import Metrics
from memrouter.stores.base import MemoryStore
from memrouter.stores.cache_server import ValkeyCacheServer
from memrouter.stores.cached import CachedStore
from memrouter.stores.hot_cache import HotCache
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.clock import ManualClock
from memrouter.testing.store_contract import StoreContract
from memrouter.testing.valkey import ValkeyServer, forget, serving


class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[MemoryStore]:
        settings = SqliteSettings(path=str(tmp_path / "memories.db"))
        store = await SqliteStore.open(settings, dimension=24, embedding_model="contract-model")
        yield store
        await store.aclose()

    @pytest.fixture
    async def neighbour(self, store: MemoryStore, tmp_path: Path) -> AsyncIterator[MemoryStore]:
        settings = SqliteSettings(path=str(tmp_path / "memories.db"))
        neighbour = await SqliteStore.open(settings, dimension=24, embedding_model="contract-model")
        yield neighbour
        await neighbour.aclose()


class ValkeyContract(StoreContract):
    algorithm = "auto"

    @pytest.fixture
    async def store(self, valkey: ValkeySettings) -> AsyncIterator[MemoryStore]:
        settings = valkey.model_copy(update={"index_algorithm": self.algorithm})
        store = await ValkeyStore.open(settings, dimension=24, embedding_model="contract-model")
        await serving(store)
        yield store
        await store.aclose()
        await forget(settings)

    @pytest.fixture
    async def neighbour(self, store: MemoryStore, valkey: ValkeySettings) -> AsyncIterator[MemoryStore]:
        settings = valkey.model_copy(update={"index_algorithm": self.algorithm})
        neighbour = await ValkeyStore.open(settings, dimension=24, embedding_model="contract-model")
        yield neighbour
        await neighbour.aclose()


class TestValkeyFlat(ValkeyContract):
    algorithm = "flat"


class TestValkeyHnsw(ValkeyContract):
    algorithm = "hnsw"


async def behind_cache(inner: MemoryStore, server: ValkeyServer, name: str) -> CachedStore:
    settings = RedisCacheSettings(enabled=True, address=f"127.0.0.1:{server.port}")
    metrics = Metrics()
    cache = HotCache(await ValkeyCacheServer.open(settings), observer=metrics, clock=ManualClock())
    return CachedStore(inner, cache, settings, name=name, observer=metrics)


class TestCachedSqliteStore(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path, cache_server: ValkeyServer) -> AsyncIterator[MemoryStore]:
        settings = SqliteSettings(path=str(tmp_path / "memories.db"), synchronous="normal")
        inner = await SqliteStore.open(settings, dimension=24, embedding_model="contract-model")
        store = await behind_cache(inner, cache_server, settings.path)
        yield store
        await store.aclose()


class CachedValkeyContract(StoreContract):
    algorithm = "auto"

    @pytest.fixture
    async def store(self, valkey: ValkeySettings, cache_server: ValkeyServer) -> AsyncIterator[MemoryStore]:
        settings = valkey.model_copy(update={"index_algorithm": self.algorithm})
        inner = await ValkeyStore.open(settings, dimension=24, embedding_model="contract-model")
        await serving(inner)
        store = await behind_cache(inner, cache_server, settings.index_name)
        yield store
        await store.aclose()
        await forget(settings)


class TestCachedValkeyFlat(CachedValkeyContract):
    algorithm = "flat"


class TestCachedValkeyHnsw(CachedValkeyContract):
    algorithm = "hnsw"
