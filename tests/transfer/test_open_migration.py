"""The store that memories move to is opened beside the old one, or as soon as it can be reached."""

import random
from pathlib import Path

import pytest

from memrouter.clock import SystemClock
from memrouter.config.memory import MemorySettings
from memrouter.embeddings.base import EmbedderInfo
from memrouter.errors import ConfigError, SchemaMismatch
from memrouter.stores.deferred import DeferredStore
from memrouter.stores.migrating import MigratingStore
from memrouter.transfer.live_migration import LiveMigration, Phase
from memrouter.transfer.open_migration import open_migration

from .two_stores import DIMENSION, MODEL, sqlite


async def begun(folder: Path, to: dict[str, object], *, model: str = MODEL) -> tuple[MigratingStore, LiveMigration]:
    settings = MemorySettings.model_validate({"migration": {"to": to}})
    assert settings.migration is not None
    assert settings.migration_target is not None
    old = await sqlite(folder / "old.db")
    try:
        return await open_migration(
            old,
            settings.migration,
            settings.migration_target,
            info=EmbedderInfo(model, DIMENSION, 0.5),
            clock=SystemClock(),
            rng=random.Random(1),
        )
    except BaseException:
        await old.aclose()
        raise


async def test_both_stores_are_one_and_nothing_has_begun(tmp_path: Path) -> None:
    store, work = await begun(tmp_path, {"sqlite": {"path": str(tmp_path / "new.db")}})
    assert work.status.phase is Phase.WAITING
    assert not store.reads_new
    assert (tmp_path / "new.db").exists()
    await work.aclose()
    await store.aclose()


async def test_a_new_store_that_cannot_be_reached_keeps_nobody_waiting(tmp_path: Path) -> None:
    store, work = await begun(tmp_path, {"valkey": {"host": "127.0.0.1", "port": 9, "timeout": 1}})
    assert isinstance(store._new, DeferredStore)
    await store.check()
    await work.aclose()
    await store.aclose()


async def test_a_new_store_with_other_vectors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"migration\.to\.valkey\.dimension"):
        await begun(tmp_path, {"valkey": {"dimension": DIMENSION + 1}})
    other = await sqlite(tmp_path / "new.db")
    await other.aclose()
    with pytest.raises(SchemaMismatch):
        await begun(tmp_path, {"sqlite": {"path": str(tmp_path / "new.db")}}, model="another-model")
