"""``memrouter reindex``: make all vectors of a store anew with another embedding model."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from memrouter.cli.desk import refuse_migration, run_to_end, show_report
from memrouter.cli.options import ConfigOption, JsonOption
from memrouter.cli.progress import Bars
from memrouter.config.load import load_settings
from memrouter.config.memory import MemorySettings
from memrouter.embeddings.base import Embedder
from memrouter.embeddings.named import open_named_embedder
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.reindexing import Reindexing, open_reindexing
from memrouter.transfer.reindex import STEP, Reindex, ReindexReport

_SECTION = "global.stores.memory"


@dataclass(frozen=True, slots=True)
class _Desk:
    """What the command works with; ``advice`` is what the configuration has to say afterwards."""

    store: Reindexing
    embedder: Embedder
    advice: str


def reindex(
    embedding_model: Annotated[
        str, typer.Option(help="The new model: a word of the configuration, such as bert, or the model's own name.")
    ],
    config: ConfigOption = None,
    dimension: Annotated[
        int | None, typer.Option(min=1, max=32_768, help="Numbers of a vector; omitted: as the model has them.")
    ] = None,
    step: Annotated[int, typer.Option(min=1, max=10_000, help="Memories that are embedded at a time.")] = STEP,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
    abandon: Annotated[
        bool, typer.Option("--abandon", help="Give up a reindex that was begun; the old vectors stay.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make all vectors anew from text with another embedding model, beside the old ones, then switch at once.

    Routers with the old model serve until the switch; afterwards set the new model in their configuration and restart
    them. It can be interrupted, or killed, and run again: it goes on where it was.

    Exit status: 0 done, or nothing to do; 2 it failed, 130 interrupted.
    """

    async def work() -> tuple[ReindexReport | bool, str]:
        async with _desk(config, embedding_model, dimension) as desk:
            if abandon:
                return await desk.store.abandon(), desk.advice
            with Bars() as bars:
                run = Reindex(desk.store, desk.embedder, progress=bars, step=step)
                return await (run.predict() if dry_run else run.run()), desk.advice

    outcome, advice = run_to_end(work, again="run the same command to go on")
    if isinstance(outcome, bool):
        typer.echo("the new vectors were removed; the old ones stay" if outcome else "no reindex is under way")
    else:
        show_report(outcome.as_dict(), _readable(outcome, advice), as_json=as_json)


@asynccontextmanager
async def _desk(config: Path | None, name: str, dimension: int | None) -> AsyncIterator[_Desk]:
    memory = load_settings(config, env=os.environ).settings.memory
    refuse_migration(memory, config, hint="both of its stores keep vectors of one model")
    named = await open_named_embedder(memory, name, env=os.environ, dimension=dimension)
    try:
        about = named.embedder.info
        store = await open_reindexing(memory, target=EmbeddingSpace(about.model, about.dimension))
        try:
            yield _Desk(store, named.embedder, _advice(memory, named.word, about.dimension))
        finally:
            await store.aclose()
    finally:
        await named.embedder.aclose()


def _readable(report: ReindexReport, advice: str) -> list[str]:
    if report.unchanged:
        return [f"nothing to do: the store has vectors of {report.after}; {report.memories} memories"]
    if report.dry_run:
        return [
            f"{report.memories} memories have vectors of {report.before}; they would get vectors of {report.after}",
            f"{report.embedded} would be embedded, {report.reused} were by an earlier run",
            "nothing was written (dry run)",
        ]
    meanwhile = f"{report.caught_up} of them written meanwhile"
    return [
        f"{report.memories} memories have vectors of {report.after} now, before of {report.before}",
        f"{report.embedded} were embedded, {meanwhile}; {report.reused} had been embedded by an earlier run",
        advice,
    ]


def _advice(memory: MemorySettings, word: str, dimension: int) -> str:
    settings = f"{_SECTION}.embedding_model: {word}"
    if memory.store_dimension not in (None, dimension):
        settings += f" and {_SECTION}.{memory.effective_backend}.dimension: {dimension}"
    return f"now set {settings}, and restart every router that uses this store"
