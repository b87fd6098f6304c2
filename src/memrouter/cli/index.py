"""``memrouter index``: see, make, rebuild and drop the search index of a Valkey store."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from memrouter.cli.desk import run_to_end, show_report
from memrouter.cli.exit_status import INCOMPLETE_EXIT
from memrouter.cli.options import JsonOption
from memrouter.config.load import load_settings
from memrouter.embeddings.factory import open_embedder
from memrouter.errors import ConfigError, ConfigProblem
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.index_info import FoundIndex
from memrouter.stores.valkey.rebuild import Rebuild, RebuildProgress
from memrouter.stores.valkey.schema import REBUILD
from memrouter.stores.valkey.server import dotted

index_app = typer.Typer(no_args_is_help=True, help="See, make, rebuild and drop the search index (Valkey).")

T = TypeVar("T")

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The router's configuration file.")]


@dataclass(frozen=True, slots=True)
class _Desk:
    """What every command works with."""

    connection: Connection
    index: SearchIndex
    embedding_model: str


@index_app.command()
def info(
    config: ConfigOption,
    as_json: JsonOption = False,
) -> None:
    """Show server, index and what is not as configured; exit status 1 where the index is missing or not fit."""
    facts = _run(config, _info)
    show_report(facts, _readable(facts), as_json=as_json)
    if facts["index"] is None or facts["differences"]:
        raise typer.Exit(INCOMPLETE_EXIT)


@index_app.command()
def create(config: ConfigOption) -> None:
    """Make the index where there is none; memories that are there already are read in by the server."""

    async def work(desk: _Desk) -> str:
        existed = await desk.index.find() is not None
        state = await desk.index.ensure()
        name = desk.index.schema.name
        kind = f"the index {name} is there already" if existed else f"the index {name} was created"
        return kind + (f"; it is one of the Go router, run: {REBUILD}" if state.legacy else "")

    typer.echo(_run(config, work))


@index_app.command()
def rebuild(config: ConfigOption) -> None:
    """Move memories of the Go router to their owners' keys and make the index anew.

    Routers may serve meanwhile. It can be interrupted and run again; no memory is lost or stored twice.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task("moving memories", total=None)

        def show(progress: RebuildProgress) -> None:
            total = None if progress.phase == "moving" else 1.0
            text = (
                f"moving memories: {progress.moved} of {progress.seen} keys" if total is None else "filling the index"
            )
            bars.update(task, description=text, total=total, completed=progress.indexed)

        async def work(desk: _Desk) -> RebuildProgress:
            return await Rebuild(
                desk.connection, desk.index, embedding_model=desk.embedding_model, on_progress=show
            ).run()

        done = _run(config, work)
    typer.echo(f"index rebuilt; {done.moved} memories moved to their owners' keys")
    if done.unusable:
        typer.echo(
            f"{done.unusable} rows were left as they are: no memories, or vectors of another length, or still changing",
            err=True,
        )


@index_app.command()
def drop(config: ConfigOption, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Remove the index; the memories stay.

    A router that is running makes it again with its next request; to change its form, use rebuild.
    """
    if not yes:
        typer.echo(
            "This removes the search index. The memories stay; until the index is made again (memrouter index create, "
            "or the next request of a running router), large owners' memories are not found."
        )
        typer.confirm("Go on?", abort=True)

    async def work(desk: _Desk) -> str:
        found = await desk.index.find()
        dropped = await desk.index.drop()
        if found is not None and not found.documents and not found.backfilling and not desk.connection.cluster:
            await desk.index.forget_meta()
        name = desk.index.schema.name
        return f"the index {name} was dropped; the memories are untouched" if dropped else f"there is no index {name}"

    typer.echo(_run(config, work))


async def _info(desk: _Desk) -> dict[str, Any]:
    server = await desk.index.ask_server()
    found = await desk.index.find()
    schema = desk.index.schema
    return {
        "server": {
            "place": desk.connection.place,
            "product": server.product,
            "version": server.version and dotted(server.version),
            "search": server.search,
            "search_version": server.search_version and dotted(server.search_version),
            "role": server.role,
            "problems": server.problems(cluster=desk.connection.cluster),
        },
        "name": schema.name,
        "index": None if found is None else _described(found),
        "vectors": await desk.index.meta(),
        "differences": [] if found is None else [asdict(difference) for difference in schema.differences(found)],
        "notes": [] if found is None else schema.notes(found),
    }


def _described(found: FoundIndex) -> dict[str, Any]:
    plain = asdict(found)
    plain["fields"] = {name: field["kind"] for name, field in plain["fields"].items()}
    return {**plain, "legacy": found.legacy}


def _readable(facts: dict[str, Any]) -> list[str]:
    server, index = facts["server"], facts["index"]
    lines = [
        f"server:      {server['product']} {server['version'] or '(version unknown)'} at {server['place']}",
        f"module:      {server['search'] or '(unknown)'} {server['search_version'] or ''}".rstrip(),
    ]
    lines += [f"problem:     {problem}" for problem in server["problems"]]
    if index is None:
        return [*lines, f"index:       {facts['name']} does not exist; run: memrouter index create --config FILE"]
    vector, model = index["vector"] or {}, facts["vectors"].get("embedding_model", "(unknown model)")
    lines += [
        f"index:       {facts['name']} on {' '.join(index['prefixes'])}" + (" (Go router)" if index["legacy"] else ""),
        f"vectors:     {vector.get('algorithm')} {vector.get('metric')}, {vector.get('dimension')} numbers of {model}",
        f"documents:   {index['documents']}" + (f", {index['failures']} failures" if index["failures"] else ""),
        f"state:       {_state(index)}",
    ]
    lines += [
        f"difference:  {d['what']} is {d['found']}, wanted {d['wanted']} ({d['fix']})" for d in facts["differences"]
    ]
    lines += [f"note:        {note}" for note in facts["notes"]]
    if index["legacy"]:
        lines.append(f"note:        made by the Go router; run: {REBUILD}")
    return lines


def _state(index: dict[str, Any]) -> str:
    if index["paused"]:
        return "filling paused: the server is out of memory"
    return f"being filled, {index['progress']:.0%} done" if index["backfilling"] else "ready"


def _run(config: Path, work: Callable[[_Desk], Coroutine[Any, Any, T]]) -> T:
    """Return what ``work`` gives; errors end the program with a message and no traceback."""

    async def at_desk() -> T:
        async with _desk(config) as desk:
            return await work(desk)

    return run_to_end(at_desk, again="run the command again to go on")


@asynccontextmanager
async def _desk(config: Path) -> AsyncIterator[_Desk]:
    memory = load_settings(config, env=os.environ).settings.memory
    if memory.effective_backend != "valkey" or memory.valkey is None:
        raise ConfigError(
            [
                ConfigProblem(
                    file=str(config),
                    line=None,
                    key="global.stores.memory.backend",
                    found=memory.effective_backend,
                    allowed="valkey, with a valkey block",
                    hint="Only the Valkey store has a search index to look after",
                )
            ]
        )
    embedder = await open_embedder(memory, env=os.environ, dimension=memory.valkey.dimension)
    try:
        about = embedder.info
    finally:
        await embedder.aclose()
    connection = await Connection.open(memory.valkey)
    try:
        index = SearchIndex(connection, memory.valkey, dimension=about.dimension, embedding_model=about.model)
        yield _Desk(connection, index, about.model)
    finally:
        await connection.aclose()
