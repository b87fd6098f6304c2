"""``memrouter serve``: run the router until it is told to stop."""

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
import uvicorn
from fastapi import FastAPI

from memrouter.api.app import create_app, open_access
from memrouter.api.caller import Access
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.config.settings import Listener, Settings
from memrouter.errors import ConfigError, ConfigProblem, MemrouterError
from memrouter.observability.logs import configure_logging
from memrouter.runtime import Runtime
from memrouter.upstream.discovery import discover_models

logger = logging.getLogger(__name__)
CONFIG_EXIT = 2
KEY_VARIABLE = "MEMROUTER_UPSTREAM_KEY"
KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open: longer than proxies and clients keep theirs (60 s at most, as a rule), or one
of them sends a request into a connection that is being closed."""


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
) -> None:
    """Run the router until SIGTERM or Ctrl-C: then finish streams and stored turns, and close the store.

    Without --config: memories in ./memrouter.db, 127.0.0.1:8888, and the models of --upstream.
    """
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run(config, upstream, model or [], host, port))
    except MemrouterError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(CONFIG_EXIT) from error


async def _run(
    config: Path | None, upstream: str | None, models: list[str], host: str | None, port: int | None
) -> None:
    if config is None:
        overrides = await _laptop_providers(upstream, models)
        loaded = load_settings(None, env=os.environ, overrides=overrides)
    else:
        loaded = load_settings(config, env=os.environ)
    settings = with_address(loaded.settings, host, port)
    configure_logging(settings.global_.server.log_level, sys.stderr)
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    await serve_listeners(settings, create_app)


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
    names = models or await discover_models(upstream, api_key=key)
    backend = {"name": "upstream", "base_url": upstream, "api_key": key}
    return {"providers": {"models": [{"name": name, "backend_refs": [backend]} for name in names]}}


def with_address(settings: Settings, host: str | None, port: int | None) -> Settings:
    """Return settings whose first listener is where the command line says."""
    first, *rest = settings.listeners
    moved = first.model_copy(
        update={key: value for key, value in (("address", host), ("port", port)) if value is not None}
    )
    return settings.model_copy(update={"listeners": (moved, *rest)})


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


class MakeApp(Protocol):
    """Makes what one listener serves."""

    def __call__(self, runtime: Runtime, listener: Listener, *, access: Access) -> FastAPI:
        """Return the application; see ``create_app``."""
        ...


async def serve_listeners(settings: Settings, make_app: MakeApp) -> None:
    """Open everything, answer until a signal comes, then close in the opposite order.

    Raises:
        ConfigError: Something cannot be built as configured, or an address cannot be had.
        StoreError: The memory store cannot be opened.
    """
    with contextlib.ExitStack() as bound:
        sockets = [bound.enter_context(contextlib.closing(_bind(listener))) for listener in settings.listeners]
        runtime = await Runtime.open(settings, env=os.environ, clock=SystemClock(), rng=random.SystemRandom())
        try:
            access = open_access(runtime)
            servers = [
                _Server(_uvicorn_config(runtime, make_app(runtime, listener, access=access)))
                for listener in settings.listeners
            ]
            with _stopping(servers, runtime):
                runtime.start_upkeep()
                await asyncio.gather(
                    *(server.serve(sockets=[listening]) for server, listening in zip(servers, sockets, strict=True)),
                )
        finally:
            await runtime.aclose()


class _Server(uvicorn.Server):
    """A server that leaves signals to us, since several may share one process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _uvicorn_config(runtime: Runtime, app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(runtime.settings.global_.server.shutdown_seconds)),
    )


@contextlib.contextmanager
def _stopping(servers: list[_Server], runtime: Runtime) -> Iterator[None]:
    """Let SIGTERM and SIGINT end the servers; a second signal ends them at once."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        runtime.begin_shutdown()
        for server in servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _bind(listener: Listener) -> socket.socket:
    """Return a listening socket.

    Raises:
        ConfigError: The address cannot be had; the message names the way out.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            listener.address, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(2048)
    except OSError as error:
        raise ConfigError(
            [
                ConfigProblem(
                    file="<this machine>",
                    line=None,
                    key=f"listeners.{listener.name}",
                    found=f"{listener.address}:{listener.port} ({error.strerror or error})",
                    allowed="an address of this machine and a free port",
                    hint="Stop what listens there, or choose another port: memrouter serve --port 8889",
                )
            ]
        ) from error
    bound.setblocking(False)
    logger.info("listening on http://%s:%d", *bound.getsockname()[:2])
    return bound
