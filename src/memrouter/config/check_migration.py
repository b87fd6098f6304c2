"""Checks of ``memory.migration``: memories can only move to another place that takes the same vectors."""

from collections.abc import Hashable, Iterator
from pathlib import Path

from memrouter.config.findings import Finding
from memrouter.config.memory import MemorySettings, MilvusSettings, ValkeySettings
from memrouter.config.paths import KeyPath
from memrouter.config.settings import Settings

_TARGET: KeyPath = ("global", "stores", "memory", "migration", "to")


def check_migration(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with the store that memories move to. Reads nothing but the settings."""
    memory, target = settings.memory, settings.memory.migration_target
    if target is None:
        return
    if store_place(target) == store_place(memory):
        yield Finding(_TARGET, "another place than that of the store whose memories move")
    dimensions = (memory.store_dimension, target.store_dimension)
    if None not in dimensions and len(set(dimensions)) > 1:
        yield Finding(
            (*_TARGET, target.effective_backend, "dimension"),
            f"{dimensions[0]}, as in the store whose memories move, or nothing",
            hint="Vectors are copied as they are; memrouter migrate makes new ones.",
        )


def store_place(memory: MemorySettings) -> Hashable:
    """Return what two settings that lead to the same memories have in common."""
    match memory.effective_backend:
        case "sqlite":
            return Path(memory.sqlite.path).expanduser().absolute()
        case "valkey":
            valkey = memory.valkey or ValkeySettings()
            return valkey.host.lower(), valkey.port, valkey.database, valkey.collection_prefix
        case "milvus":
            milvus = memory.milvus or MilvusSettings()
            return milvus.address.lower(), milvus.database, milvus.collection
