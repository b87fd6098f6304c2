"""Where in the hot cache an answer stands: one key for each owner, one field for each question."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from memrouter.config.memory import MemorySettings, MilvusSettings, ValkeySettings
from memrouter.models.memory import Scope
from memrouter.stores.base import Capabilities
from memrouter.stores.query import Filter, StoreQuery

FORMAT: Final = 2
"""Raised when the form or the meaning of kept answers changes; answers of other formats are never found."""


def store_name(settings: MemorySettings, *, run: str) -> str:
    """Return a name under which answers of the configured store are kept apart from those of other stores.

    Routers on one Valkey or Milvus share answers. A SQLite file has no name that holds across machines, copies and
    restored backups, so its answers are for one run of the router alone.

    Args:
        settings: ``global.stores.memory``.
        run: Differs from run to run.
    """
    match settings.effective_backend:
        case "sqlite":
            return repr(("sqlite", str(Path(settings.sqlite.path).absolute()), run))
        case "valkey":
            valkey = settings.valkey or ValkeySettings()
            place = f"{valkey.host.lower()}:{valkey.port}"
            return repr(("valkey", place, valkey.database, valkey.collection_prefix, valkey.index_name))
        case "milvus":
            milvus = settings.milvus or MilvusSettings()
            return repr(("milvus", milvus.address, milvus.database, milvus.collection))


def owner_cache_key(prefix: str, owner: str) -> str:
    """Return the key that holds all answers for an owner, who is given as an owner key; it names nobody."""
    return f"{prefix}{{{owner}}}"


def question_digest(store: str, capabilities: Capabilities, scope: Scope, query: StoreQuery) -> str:
    """Return 64 hex digits for everything that can change the answer, but the time and the owner's generation.

    Args:
        store: From ``store_name``.
        capabilities: Those of the store.
        scope: Whose memories are asked for.
        query: What is asked; ``now`` and ``known_generation`` do not count.
    """
    vector = query.vector
    question = (
        FORMAT,
        store,
        (capabilities.backend, capabilities.dimension, capabilities.embedding_model, capabilities.exact),
        (scope.user_id, scope.project_id),
        None if vector is None else (vector.dtype.str, vector.shape, vector.tobytes()),
        (query.words, query.k, query.scan_limit),
        _filter(query.where),
    )
    return hashlib.sha256(repr(question).encode()).hexdigest()


def _filter(where: Filter) -> tuple[object, ...]:
    return (_sorted(where.ids), _sorted(where.types), _sorted(where.sources), where.conversation_id)


def _sorted(names: Iterable[str] | None) -> list[str] | None:
    return None if names is None else sorted(str(name) for name in names)
