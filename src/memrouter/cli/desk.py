"""What commands work with: the configured store and embedder, and one way to end."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import typer

from memrouter.cli.exit_status import FAILED_EXIT, INTERRUPTED_EXIT
from memrouter.config.load import load_settings
from memrouter.config.memory import MemorySettings
from memrouter.doctor.findings import printable
from memrouter.embeddings.base import Embedder
from memrouter.embeddings.factory import open_embedder
from memrouter.errors import ConfigError, ConfigProblem, EmbeddingError, MemrouterError, StoreUnavailable
from memrouter.stores.base import MemoryStore
from memrouter.stores.factory import open_store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """An open store, the embedder whose vectors it keeps, and what was configured."""

    store: MemoryStore
    embedder: Embedder
    settings: MemorySettings


@asynccontextmanager
async def open_desk(config: Path | None, *, existing: bool, scratch: Path | None = None) -> AsyncIterator[Desk]:
    """Open what the configuration names, for as long as the context lasts.

    Args:
        config: The configuration file; None for the defaults.
        existing: Whether the store must be there already; an SQLite file would else be made.
        scratch: Stands in for an SQLite file that is not there; None for none.

    Raises:
        ConfigError: The configuration cannot be used, or there is no store.
        StoreError: The store cannot be opened.
    """
    memory = _memory_settings(config, existing=existing, scratch=scratch)
    embedder = await open_embedder(memory, env=os.environ, dimension=memory.store_dimension)
    try:
        about = embedder.info
        store = await open_store(memory, dimension=about.dimension, embedding_model=about.model)
        try:
            yield Desk(store, embedder, memory)
        finally:
            await store.aclose()
    finally:
        await embedder.aclose()


def _memory_settings(config: Path | None, *, existing: bool, scratch: Path | None) -> MemorySettings:
    memory = load_settings(config, env=os.environ).settings.memory
    if scratch is not None and memory.effective_backend == "sqlite" and not Path(memory.sqlite.path).exists():
        return memory.model_copy(update={"sqlite": memory.sqlite.model_copy(update={"path": str(scratch)})})
    if existing:
        require_store(memory, config)
    return memory


def run_to_end(work: Callable[[], Coroutine[Any, Any, T]], *, again: str) -> T:
    """Return what ``work`` gives; errors end the program with a message and no traceback.

    Args:
        work: What is to be done.
        again: What to do after an interruption.
    """
    try:
        return asyncio.run(work())
    except BrokenPipeError:
        raise typer.Exit(FAILED_EXIT) from None  # whoever read the output has gone
    except (StoreUnavailable, EmbeddingError) as error:
        typer.echo(f"{printable(str(error))}; {again}", err=True)
        raise typer.Exit(FAILED_EXIT) from None
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror or error}; {again}"
        typer.echo(printable(told), err=True)
        raise typer.Exit(FAILED_EXIT) from None
    except MemrouterError as error:
        for line in str(error).splitlines():
            typer.echo(printable(line), err=True)
        raise typer.Exit(FAILED_EXIT) from None
    except KeyboardInterrupt:
        typer.echo(f"interrupted; {again}", err=True)
        raise typer.Exit(INTERRUPTED_EXIT) from None


def show_report(facts: Mapping[str, object], lines: Sequence[str], *, as_json: bool, err: bool = False) -> None:
    """Print ``facts`` as JSON, or ``lines``; to stderr where stdout has something else."""
    typer.echo(json.dumps(facts, indent=2) if as_json else "\n".join(lines), err=err)


def config_name(config: Path | None) -> str:
    """Return how a problem names the configuration that it is in."""
    return "<configuration>" if config is None else str(config)


def refuse_migration(memory: MemorySettings, config: Path | None, *, hint: str) -> None:
    """Make sure that the memories are not about to move to another store.

    Raises:
        ConfigError: They are; ``hint`` says why that must be over first.
    """
    if memory.migration is None:
        return
    raise ConfigError(
        [
            ConfigProblem(
                file=config_name(config),
                line=None,
                key="global.stores.memory.migration",
                found="a live migration",
                allowed="none meanwhile",
                hint=f"Finish the migration first: {hint}",
            )
        ]
    )


def require_store(memory: MemorySettings, config: Path | None) -> None:
    """Make sure that opening an SQLite store does not make one.

    Raises:
        ConfigError: There is no such file.
    """
    if memory.effective_backend == "sqlite" and not Path(memory.sqlite.path).is_file():
        raise ConfigError(
            [
                ConfigProblem(
                    file=config_name(config),
                    line=None,
                    key="global.stores.memory.sqlite.path",
                    found=f"{memory.sqlite.path}, where there is no file",
                    allowed="the file of a router's memories",
                    hint="Name the router's configuration with --config, or run the command in its folder",
                )
            ]
        )
