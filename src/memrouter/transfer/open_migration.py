"""Opens the store that memories move to, and puts the two stores together."""

import random

from memrouter.clock import Clock
from memrouter.config.memory import MemorySettings, MigrationSettings
from memrouter.embeddings.base import EmbedderInfo
from memrouter.errors import ConfigError, ConfigProblem
from memrouter.stores.base import Capabilities, MemoryStore
from memrouter.stores.deferred import open_or_defer
from memrouter.stores.factory import open_store
from memrouter.stores.migrating import MigratingStore
from memrouter.stores.mirror import Mirror
from memrouter.transfer.live_migration import LiveMigration


async def open_migration(
    old: MemoryStore,
    settings: MigrationSettings,
    target: MemorySettings,
    *,
    info: EmbedderInfo,
    clock: Clock,
    rng: random.Random,
) -> tuple[MigratingStore, LiveMigration]:
    """Return both stores as one, and the work in the background, which the caller starts and closes first.

    A new store that cannot be reached yet is opened as soon as it can be.

    Args:
        old: The router's store so far; closed with the one returned.
        settings: ``memory.migration``.
        target: The settings with the new store as the store.
        info: Of the embedder of both.
        clock: Times the work.
        rng: Spreads the tries of several routers.

    Raises:
        ConfigError: The new store is set to vectors of another length than the embedder's, or cannot be had.
        SchemaMismatch: What the new store holds was made by another model or version.
    """
    problem = other_dimension(target, info.dimension)
    if problem is not None:
        raise ConfigError([problem])

    async def opened() -> MemoryStore:
        return await open_store(target, dimension=info.dimension, embedding_model=info.model)

    promised = Capabilities(target.effective_backend, info.dimension, info.model, exact=False)
    new = await open_or_defer(opened, capabilities=promised, rng=rng)
    mirror = Mirror(old, new)
    store = MigratingStore(old, new, mirror, clock=clock)
    work = LiveMigration(
        old=old,
        new=new,
        mirror=mirror,
        store=store,
        rate=settings.rate,
        overwrite=settings.overwrite,
        clock=clock,
        rng=rng,
    )
    return store, work


def other_dimension(target: MemorySettings, dimension: int) -> ConfigProblem | None:
    """Return what is wrong where the new store is set to vectors of another length than ``dimension``."""
    if target.store_dimension in (None, dimension):
        return None
    return ConfigProblem(
        file="<configuration>",
        line=None,
        key=f"global.stores.memory.migration.to.{target.effective_backend}.dimension",
        found=str(target.store_dimension),
        allowed=f"{dimension}, the length of the vectors that are moved, or nothing",
        hint="Vectors are copied as they are; memrouter migrate makes new ones",
    )
