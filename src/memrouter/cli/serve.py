"""``memrouter serve``: run the router until it is told to stop."""

import asyncio
import gc
import logging
import os
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from memrouter.cli.exit_status import FAILED_EXIT
from memrouter.cli.sockets import bind
from memrouter.cli.workers.link import Inheritance
from memrouter.config.load import Loaded, load_settings
from memrouter.config.settings import Settings
from memrouter.errors import ConfigError, ConfigProblem, MemrouterError
from memrouter.observability.logs import configure_logging

logger = logging.getLogger(__name__)
KEY_VARIABLE = "MEMROUTER_UPSTREAM_KEY"
_ONE_THREAD: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def serve(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Configuration file; without one, a laptop's defaults.")
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(
            envvar="MEMROUTER_UPSTREAM",
            help="Without --config: URL of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Without --config: a model of the upstream; repeatable. Omitted: the upstream is asked."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address of the first listener.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port of the first listener.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Processes that answer behind the port; default global.server.workers."),
    ] = None,
) -> None:
    """Run the router until SIGTERM or Ctrl-C: then finish streams and stored turns, and close the store.

    Without --config: memories in ./memrouter.db, 127.0.0.1:8888, and the models of --upstream.
    """
    try:
        inherited = Inheritance.of(os.environ)
        loaded = asyncio.run(_load(config, upstream, model or []))
        settings = with_address(loaded.settings, host, port)
        configure_logging(settings.global_.server.log_level, sys.stderr)
        if inherited is None or inherited.number == 1:
            for warning in loaded.warnings:
                logger.warning("%s", warning)
        if inherited is None and (count := workers or settings.global_.server.workers) > 1:
            raise typer.Exit(_supervise(settings, count))
        _answer(settings, inherited)
    except MemrouterError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED_EXIT) from error


def _answer(settings: Settings, inherited: Inheritance | None) -> None:
    """Answer requests in this process."""
    gc.disable()  # until all that stays is there: nothing of it is garbage
    for name in _ONE_THREAD:  # read when numpy is loaded: vectors this short are multiplied sooner by one thread
        os.environ.setdefault(name, "1")
    from memrouter.cli.listening import run_loop, serve_listeners
    from memrouter.inspector.mount import create_inspected_app

    try:
        run_loop(serve_listeners(settings, create_inspected_app, inherited=inherited))
    finally:
        gc.enable()


def _supervise(settings: Settings, workers: int) -> int:
    """Have several processes answer requests; return the exit status."""
    from memrouter.cli.workers.supervisor import Supervisor, worker_command

    _check_shareable(settings)
    with ExitStack() as bound:
        listeners = [bound.enter_context(closing(bind(listener))) for listener in settings.listeners]
        supervisor = Supervisor(
            worker_command(sys.argv[1:]),
            workers=workers,
            listeners=listeners,
            shutdown_seconds=settings.global_.server.shutdown_seconds,
            env=os.environ,
        )
        return asyncio.run(supervisor.run())


def _check_shareable(settings: Settings) -> None:
    """Refuse a store that one process alone can open.

    Raises:
        ConfigError: It is one.
    """
    memory = settings.memory
    if memory.effective_backend != "milvus" or memory.milvus is None:
        return
    from memrouter.stores.milvus.address import milvus_address

    if milvus_address(memory.milvus).local:
        raise ConfigError(
            [
                ConfigProblem(
                    file="<configuration>",
                    line=None,
                    key="global.server.workers",
                    found="several workers on a local Milvus file",
                    allowed="1: Milvus Lite belongs to one process",
                    hint="Set global.stores.memory.milvus.address to a Milvus server, or workers to 1",
                )
            ]
        )


async def _load(config: Path | None, upstream: str | None, models: list[str]) -> Loaded:
    if config is not None:
        return load_settings(config, env=os.environ)
    return load_settings(None, env=os.environ, overrides=await _laptop_providers(upstream, models))


async def _laptop_providers(upstream: str | None, models: list[str]) -> dict[str, Any]:
    """Return the ``providers`` section for a router that is run without a configuration file.

    Raises:
        ConfigError: No upstream is named, or it cannot be asked for its models.
    """
    if not upstream:
        raise ConfigError(
            [
                ConfigProblem(
                    file="<command line>",
                    line=None,
                    key="--upstream",
                    found="nothing",
                    allowed="the URL of an OpenAI-compatible server",
                    hint="Run: memrouter serve --upstream http://127.0.0.1:8000/v1"
                    " (or set MEMROUTER_UPSTREAM, or give --config FILE)",
                )
            ]
        )
    key = os.environ.get(KEY_VARIABLE, "")
    names = models or await _discovered(upstream, key)
    backend = {"name": "upstream", "base_url": upstream, "api_key": key}
    return {"providers": {"models": [{"name": name, "backend_refs": [backend]} for name in names]}}


async def _discovered(upstream: str, key: str) -> list[str]:
    from memrouter.upstream.discovery import discover_models

    return list(await discover_models(upstream, api_key=key))


def with_address(settings: Settings, host: str | None, port: int | None) -> Settings:
    """Return settings whose first listener is where the command line says."""
    first, *rest = settings.listeners
    moved = first.model_copy(
        update={key: value for key, value in (("address", host), ("port", port)) if value is not None}
    )
    return settings.model_copy(update={"listeners": (moved, *rest)})
