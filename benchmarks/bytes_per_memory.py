"""``python -m benchmarks.bytes_per_memory``: what a memory takes in Valkey in the first layout and in today's."""

import argparse
import asyncio
import json
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from memrouter.config.memory import ValkeySettings
from memrouter.models.memory import MemoryRecord
from memrouter.sizing.samples import sample_batches
from memrouter.sizing.server import info, number
from memrouter.sizing.workload import MODEL, Workload
from memrouter.stores.query import MergeMode
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.packed import PARTS
from memrouter.stores.valkey.rows import scope_digest, to_fields, twin_digest
from memrouter.stores.valkey.schema import IndexSchema
from memrouter.stores.valkey.scripts import Arg
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.valkey import ValkeyServer

ROUNDS = 3
"""Servers for each figure: where a HASH's table puts its fields is drawn at the start of a server."""

COMPACT = ("--hash-max-listpack-value", "32768")
FIRST_PARTS = PARTS.index("superseded_by") + 1


@dataclass(frozen=True)
class Layout:
    """One way to keep memories."""

    name: str
    first: bool = False
    args: Sequence[str] = ()


LAYOUTS = (
    Layout("format 1", first=True),
    Layout("format 2"),
    Layout("format 2, hash-max-listpack-value 32768", args=COMPACT),
)


async def bytes_per_memory(layout: Layout, workload: Workload) -> float:
    """Return the growth of used_memory for each memory on a server of its own."""
    async with ValkeyServer(args=layout.args) as server:
        settings = server.settings(
            timeout=60,
            index_algorithm="hnsw" if workload.graph_links else "flat",
            index_m=workload.graph_links or 16,
        )
        connection = await Connection.open(settings)
        if layout.first:
            await make_first_index(connection, settings, workload)
        store = await ValkeyStore.open(settings, dimension=workload.dimension, embedding_model=MODEL)
        before = number(await info(connection, "memory"), "used_memory")
        for batch in sample_batches(workload, random.Random(1)):
            if layout.first:
                await connection.pipeline([command for record in batch for command in first_layout(settings, record)])
            else:
                await store.merge(batch, mode=MergeMode.SKIP)
        await asyncio.sleep(3)  # the server gives buffers back a moment after their last use
        after = number(await info(connection, "memory"), "used_memory")
        await store.aclose()
        await connection.aclose()
    return (after - before) / workload.memories


async def make_first_index(connection: Connection, settings: ValkeySettings, workload: Workload) -> None:
    """Make the index of the first layout, which held the time of creation too."""
    command = IndexSchema.from_settings(settings, dimension=workload.dimension).create_command()
    await connection.run([*command, "created_at", "NUMERIC", "SORTABLE"])


def first_layout(settings: ValkeySettings, record: MemoryRecord) -> list[list[Arg]]:
    """Return the commands that store a memory as the first layout did."""
    keys, digest = Keys(settings.collection_prefix).of_user(record.user_id), twin_digest(record.content)
    fields = to_fields(record, dimension=len(record.embedding), embedding_model=MODEL)
    fields |= {
        "record": json.dumps(json.loads(fields["record"])[:FIRST_PARTS], separators=(",", ":")),
        "digest": digest,
        "conversation_id": record.conversation_id or "",
    }
    member = digest + scope_digest(record.user_id, record.project_id) + record.id
    return [
        ["HSET", keys.memory(record.id), *(part for pair in fields.items() for part in pair)],
        ["ZADD", keys.ids, record.created_at, record.id],
        ["ZADD", keys.content, 0, member],
        ["SET", keys.generation, 1_750_000_000_000_000],
    ]


async def run(memories: int, console: Console) -> None:
    """Measure every layout and print a table."""
    workloads = [Workload(memories, 256), Workload(memories, 384), Workload(memories, 256, graph_links=16)]
    table = Table(title=f"used_memory for each of {memories:,} memories, 100 a user, 600 bytes of text, median")
    table.add_column("layout")
    for workload in workloads:
        graph = f"HNSW, m {workload.graph_links}" if workload.graph_links else "FLAT"
        table.add_column(f"{workload.dimension}, {graph}", justify="right")
    for layout in LAYOUTS:
        figures = [[await bytes_per_memory(layout, workload) for _ in range(ROUNDS)] for workload in workloads]
        table.add_row(layout.name, *(f"{statistics.median(found):,.0f}" for found in figures))
    console.print(table)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description="Measures what a memory takes in Valkey, by layout.")
    parser.add_argument("--memories", type=int, default=5_000)
    asyncio.run(run(parser.parse_args().memories, Console(width=110)))


if __name__ == "__main__":
    main()
