"""Everything that ``memrouter size`` says, for people and for programs."""

from dataclasses import asdict, dataclass
from typing import Any

from memrouter.sizing.disk import ValkeyDisk, valkey_disk
from memrouter.sizing.measure import Measured
from memrouter.sizing.milvus import MilvusSize, milvus_size
from memrouter.sizing.plan import ServerPlan, largest, memory_limit, server_plan
from memrouter.sizing.sqlite import sqlite_file
from memrouter.sizing.valkey import ServerKind, ValkeySize, valkey_size
from memrouter.sizing.workload import Workload


@dataclass(frozen=True, slots=True)
class Estimate:
    """What memories take in each store, and what to give its server.

    Attributes:
        workload: What is kept.
        kind: How the Valkey server keeps it.
        valkey: Memory in Valkey, by part.
        valkey_disk: Files of Valkey.
        valkey_plan: What to give each Valkey server.
        milvus: Memory and files of Milvus.
        milvus_limit: ``resources.limits.memory`` of a pod with Milvus Standalone.
        sqlite: Bytes of the file.
    """

    workload: Workload
    kind: ServerKind
    valkey: ValkeySize
    valkey_disk: ValkeyDisk
    valkey_plan: ServerPlan
    milvus: MilvusSize
    milvus_limit: int
    sqlite: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """The greatest numbers of memories for which a limit suffices.

    Attributes:
        limit: Bytes of a pod or machine; for SQLite of the file.
        valkey: In a Valkey server whose pod has this limit.
        milvus: In Milvus with this limit.
        sqlite: In a file of this size.
    """

    limit: int
    valkey: int
    milvus: int
    sqlite: int


def estimate(workload: Workload, *, kind: ServerKind | None = None, replicas: int = 0) -> Estimate:
    """Return what memories take in each store.

    Args:
        workload: What is kept.
        kind: How the Valkey server keeps it; None for valkey-search on an official build.
        replicas: How many copies of the Valkey server there are beside it.
    """
    kind = kind or ServerKind()
    valkey, milvus = valkey_size(workload, kind), milvus_size(workload)
    return Estimate(
        workload=workload,
        kind=kind,
        valkey=valkey,
        valkey_disk=valkey_disk(workload, kind.module),
        valkey_plan=server_plan(valkey.total, replicas=replicas),
        milvus=milvus,
        milvus_limit=memory_limit(milvus.total),
        sqlite=sqlite_file(workload),
    )


def capacity(limit: int, workload: Workload, *, kind: ServerKind) -> Capacity:
    """Return how many memories of a kind fit."""
    return Capacity(
        limit=limit,
        valkey=largest(limit, workload, lambda one: server_plan(valkey_size(one, kind).total).limit),
        milvus=largest(limit, workload, lambda one: memory_limit(milvus_size(one).total)),
        sqlite=largest(limit, workload, sqlite_file),
    )


def facts(found: Estimate, fits: Capacity | None, measured: Measured | None) -> dict[str, Any]:
    """Return all of it as JSON values; sizes are bytes."""
    workload = found.workload
    return {
        "memories": workload.memories,
        "dimension": workload.dimension,
        "content_bytes": workload.content_bytes,
        "users": workload.owners,
        "index": "hnsw" if workload.graph_links else "flat",
        "m": workload.graph_links or None,
        "text_index": workload.text_index,
        "valkey": {
            "module": str(found.kind.module),
            "allocator": str(found.kind.keyspace.allocator),
            "hash_max_listpack_value": found.kind.keyspace.hash_listpack_value,
            "memory": {**asdict(found.valkey), "total": found.valkey.total},
            "bytes_per_memory": round(found.valkey.data / workload.memories),
            "disk": {**asdict(found.valkey_disk), "peak": found.valkey_disk.peak},
            "server": asdict(found.valkey_plan),
        },
        "milvus": {
            "memory": {name: size for name, size in asdict(found.milvus).items() if name != "disk"}
            | {"total": found.milvus.total},
            "disk": found.milvus.disk,
            "limit": found.milvus_limit,
        },
        "sqlite": {"file": found.sqlite},
        "largest": None if fits is None else asdict(fits),
        "measured": None if measured is None else _measured(measured),
    }


def _measured(measured: Measured) -> dict[str, Any]:
    return {
        "server": measured.server.name,
        "used_memory": measured.used,
        "formula": measured.expected,
        "difference_percent": round(100 * measured.off, 1),
        "hash_bytes": round(measured.hash_bytes),
        "aof": measured.aof,
        "index": dict(measured.index),
    }
