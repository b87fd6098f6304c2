"""The configuration chooses the store."""

from pathlib import Path

import pytest

from memrouter.config.memory import MemorySettings, MilvusSettings, SqliteSettings, ValkeySettings
from memrouter.errors import ConfigError
from memrouter.stores.factory import open_store


async def test_without_a_backend_the_embedded_store_is_opened(tmp_path: Path) -> None:
    settings = MemorySettings(sqlite=SqliteSettings(path=str(tmp_path / "memories.db")))
    store = await open_store(settings, dimension=8, embedding_model="m")
    try:
        assert (store.capabilities.backend, store.capabilities.dimension) == ("sqlite", 8)
        await store.check()
    finally:
        await store.aclose()


@pytest.mark.parametrize(
    "settings",
    [
        MemorySettings(backend="valkey"),
        MemorySettings(backend="milvus"),
        MemorySettings(valkey=ValkeySettings()),
        MemorySettings(milvus=MilvusSettings()),
    ],
)
async def test_a_backend_of_a_later_version_is_refused_with_the_way_out(settings: MemorySettings) -> None:
    with pytest.raises(ConfigError) as caught:
        await open_store(settings, dimension=8, embedding_model="m")
    (problem,) = caught.value.problems
    assert problem.key == "global.stores.memory.backend"
    assert settings.effective_backend in problem.found
    assert "backend: sqlite" in problem.hint
