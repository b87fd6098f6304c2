"""A collection as the Go router makes and fills it, by the plain client: milvus_store_schema.go and _columns.go."""

import json
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient

from memrouter.models.memory import Vector

SECOND = 1_700_000_000


def make_go_collection(client: MilvusClient, name: str, *, dimension: int) -> None:
    """Make and load it."""
    schema = MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=False, description="Agentic Memory storage for cross-session context"
    )
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("user_id", DataType.VARCHAR, is_partition_key=True, max_length=256)
    schema.add_field("project_id", DataType.VARCHAR, max_length=256)
    schema.add_field("memory_type", DataType.VARCHAR, max_length=32)
    schema.add_field("content", DataType.VARCHAR, max_length=65535)
    schema.add_field("source", DataType.VARCHAR, max_length=256)
    schema.add_field("metadata", DataType.VARCHAR, max_length=65535)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dimension)
    for field in ("created_at", "updated_at", "access_count"):
        schema.add_field(field, DataType.INT64)
    schema.add_field("importance", DataType.FLOAT)
    index = client.prepare_index_params()
    index.add_index("embedding", index_type="HNSW", metric_type="COSINE", params={"M": 16, "efConstruction": 256})
    client.create_collection(name, schema=schema, index_params=index, num_shards=1, num_partitions=4)


def go_row(number: int, vector: Vector, **changes: Any) -> dict[str, Any]:
    """Return a row as the Go router writes it."""
    user, project = changes.get("user_id", "alice"), changes.get("project_id", "default")
    metadata = {
        "user_id": user,
        "project_id": project,
        "source": "extraction",
        "importance": 0.75,
        "access_count": number,
        "last_accessed": SECOND + number,
    }
    return {
        "id": f"7f3c0a52-0000-4000-8000-{number:012d}",
        "user_id": user,
        "project_id": project,
        "memory_type": "semantic",
        "content": f"go fact {number}",
        "source": "extraction",
        "metadata": json.dumps(metadata),
        "embedding": np.asarray(vector, dtype=np.float32),
        "created_at": SECOND + number,
        "updated_at": SECOND + number,
        "access_count": number,
        "importance": 0.75,
    } | changes
