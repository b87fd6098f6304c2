"""``memrouter size``: what memories will take, before they are there."""

import asyncio
import os
import random
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from memrouter.cli.desk import config_name, run_to_end, show_report
from memrouter.cli.options import ConfigOption, JsonOption
from memrouter.cli.size_tables import lines
from memrouter.config.load import load_settings
from memrouter.config.memory import MemorySettings, ValkeySettings
from memrouter.errors import ConfigError, ConfigProblem
from memrouter.sizing.estimate import Capacity, Estimate, capacity, estimate, facts
from memrouter.sizing.keyspace import LISTPACK_VALUE, Keyspace
from memrouter.sizing.measure import Measured, measure
from memrouter.sizing.quantity import parse_bytes
from memrouter.sizing.search_index import SearchModule
from memrouter.sizing.valkey import ServerKind
from memrouter.sizing.workload import Workload

_BUNDLED_DIMENSION = 256


class IndexKind(StrEnum):
    """How the server finds vectors."""

    FLAT = "flat"
    HNSW = "hnsw"


def size(
    memories: Annotated[int, typer.Option("--memories", "-n", help="How many memories.")],
    dimension: Annotated[
        int | None, typer.Option("--dimension", help="Numbers in a vector; without, those of the configured embedder.")
    ] = None,
    index: Annotated[IndexKind | None, typer.Option(help="Kind of the vector index; without, as configured.")] = None,
    m: Annotated[int | None, typer.Option("--m", help="Links of an HNSW index; without, as configured.")] = None,
    content_bytes: Annotated[int, typer.Option("--content-bytes", help="Mean size of a memory's text.")] = 600,
    users: Annotated[int, typer.Option("--users", help="How many users; 0: one for each 100 memories.")] = 0,
    limit: Annotated[
        str | None, typer.Option("--limit", help="Say how many memories fit into this much memory, such as 4Gi.")
    ] = None,
    replicas: Annotated[int, typer.Option("--replicas", min=0, max=100, help="Copies beside the Valkey server.")] = 0,
    module: Annotated[
        SearchModule, typer.Option(help="Whose Search module the Valkey server has; --measure sees it by itself.")
    ] = SearchModule.VALKEY_SEARCH,
    listpack_value: Annotated[
        int, typer.Option("--hash-max-listpack-value", min=0, help="That setting of the server; --measure reads it.")
    ] = LISTPACK_VALUE,
    measured: Annotated[
        bool,
        typer.Option("--measure", help="Fill the configured Valkey server for a moment and compare; see the docs."),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what memories take in Valkey, Milvus and SQLite: memory by part, files, maxmemory, pods.

    With --measure as many made-up memories are written under a prefix of their own on the configured Valkey server,
    its figures are set beside the formula, and all of it is removed again, also after an interruption. It refuses
    where the server has no room for them.

    Exit status: 0 done; 2 it failed, 130 interrupted.
    """

    async def work() -> tuple[Estimate, Capacity | None, Measured | None]:
        memory = load_settings(config, env=os.environ).settings.memory
        chosen = memory.valkey or ValkeySettings()
        workload = Workload(
            memories,
            _dimension(memory, config) if dimension is None else dimension,
            content_bytes=content_bytes,
            users=users,
            graph_links=_links(chosen, index, m),
            text_index=chosen.text_index,
            prefix=chosen.collection_prefix,
        )
        room = None if limit is None else parse_bytes(limit, name="--limit")
        held = await _measure(chosen, workload) if measured else None
        kind = held.server.kind if held else ServerKind(module, Keyspace(hash_listpack_value=listpack_value))
        found = estimate(workload, kind=kind, replicas=replicas)
        return found, None if room is None else capacity(room, workload, kind=kind), held

    found, fits, held = run_to_end(work, again="run the same command again")
    values: dict[str, Any] = facts(found, fits, held)
    show_report(values, lines(found, fits, held), as_json=as_json)


def _links(settings: ValkeySettings, index: IndexKind | None, m: int | None) -> int:
    graph = settings.index_algorithm == "hnsw" if index is None else index is IndexKind.HNSW
    return (settings.index_m if m is None else m) if graph else 0


def _dimension(memory: MemorySettings, config: Path | None) -> int:
    """Return the length of the configured vectors.

    Raises:
        ConfigError: Only the embedder knows it.
    """
    if memory.store_dimension is not None:
        return memory.store_dimension
    if memory.embedding_model == "wordllama":
        return _BUNDLED_DIMENSION
    raise ConfigError(
        [
            ConfigProblem(
                file=config_name(config),
                line=None,
                key="global.stores.memory.valkey.dimension",
                found="nothing",
                allowed="the length of the embedder's vectors",
                hint="Give --dimension",
            )
        ]
    )


async def _measure(settings: ValkeySettings, workload: Workload) -> Measured:
    """Measure with a bar on the terminal; being told to end counts as Ctrl-C, so that the scratch keys go.

    Raises:
        KeyboardInterrupt: It was, and they are gone.
    """
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        bar = bars.add_task("filling the scratch index", total=workload.memories)
        try:
            return await measure(
                settings, workload, rng=random.Random(), on_progress=lambda count: bars.advance(bar, count)
            )
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
