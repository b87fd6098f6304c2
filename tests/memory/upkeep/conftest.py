"""A store and the parts of upkeep over it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.stores.base import MemoryStore
from memrouter.stores.sqlite.store import SqliteStore

from .upkeep_bench import DIMENSION, MODEL, Bench


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[MemoryStore]:
    settings = SqliteSettings(path=str(tmp_path / "memories.db"), synchronous="normal")
    store = await SqliteStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)
    yield store
    await store.aclose()


@pytest.fixture
def bench(store: MemoryStore) -> Bench:
    return Bench(store)
