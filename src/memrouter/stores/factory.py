"""Opens the store that the configuration chose. A driver is imported only when its backend is."""

from memrouter.config.memory import MemorySettings, MilvusSettings, ValkeySettings
from memrouter.stores.base import MemoryStore


async def open_store(settings: MemorySettings, *, dimension: int, embedding_model: str) -> MemoryStore:
    """Return the configured store, open and ready; the caller closes it with ``aclose``.

    Args:
        settings: ``global.stores.memory``.
        dimension: Length of the embedder's vectors.
        embedding_model: Name of the embedder's model.

    Raises:
        ConfigError: The backend's settings cannot be used, or its driver is not installed.
        SchemaMismatch: What is stored was made by another version, model or dimension.
        StoreUnavailable: The backend cannot be reached or opened.
    """
    backend = settings.effective_backend
    match backend:
        case "sqlite":
            from memrouter.stores.sqlite.store import SqliteStore

            return await SqliteStore.open(settings.sqlite, dimension=dimension, embedding_model=embedding_model)
        case "valkey":
            from memrouter.stores.valkey.store import ValkeyStore

            valkey = settings.valkey or ValkeySettings()
            return await ValkeyStore.open(valkey, dimension=dimension, embedding_model=embedding_model)
        case "milvus":
            from memrouter.stores.milvus.store import MilvusStore

            milvus = settings.milvus or MilvusSettings()
            return await MilvusStore.open(milvus, dimension=dimension, embedding_model=embedding_model)
