"""The store contract on every backend that this version has."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.stores.base import MemoryStore
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.store_contract import StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[MemoryStore]:
        settings = SqliteSettings(path=str(tmp_path / "memories.db"))
        store = await SqliteStore.open(settings, dimension=24, embedding_model="contract-model")
        yield store
        await store.aclose()
