"""``memrouter mcp``: a user's memories as an MCP server."""

import asyncio
import os
import random
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from memrouter.api.app import create_mcp_app
from memrouter.cli.caller_headers import caller_headers
from memrouter.cli.desk import config_name, refuse_migration
from memrouter.cli.exit_status import FAILED_EXIT
from memrouter.cli.listening import serve_listeners
from memrouter.cli.options import ConfigOption
from memrouter.cli.serve import with_address
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.config.providers import ProviderSettings
from memrouter.config.settings import Settings
from memrouter.errors import MemrouterError, MissingExtra
from memrouter.models.memory import DEFAULT_PROJECT, Scope, check_identity
from memrouter.observability.logs import configure_logging
from memrouter.runtime import Runtime


def mcp(
    config: ConfigOption = None,
    user: Annotated[
        str | None,
        typer.Option("--user", "-u", envvar="MEMROUTER_USER", help="Whose memories; no tool can name another user."),
    ] = None,
    project: Annotated[
        str, typer.Option("--project", envvar="MEMROUTER_PROJECT", help="Project of the user.")
    ] = DEFAULT_PROJECT,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            envvar="MEMROUTER_URL",
            help="Pass everything on to a running router with global.mcp.enabled, such as http://127.0.0.1:8888.",
        ),
    ] = None,
    api_key: Annotated[
        str | None, typer.Option("--api-key", envvar="MEMROUTER_API_KEY", help="With --url: sent as a bearer token.")
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", metavar="NAME: VALUE", help="With --url: one more; repeatable."),
    ] = None,
    http: Annotated[
        bool, typer.Option("--http", help="Serve streamable HTTP at /mcp of the listeners instead of stdio.")
    ] = False,
    host: Annotated[str | None, typer.Option(help="With --http: address of the first listener.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="With --http: port of the first listener.")
    ] = None,
) -> None:
    """Serve memories to agents over the Model Context Protocol.

    Over stdio, for a client that starts this command: the memories of --user in the configured store, or with --url
    those of a running router. With --http: those of whoever calls, as global.auth says.
    """
    if http:
        if user is not None or url is not None:
            raise typer.BadParameter("with --http each request says who is calling; leave out --user and --url")
        _run(_serve_http(config, host, port))
    elif url is not None:
        if config is not None:
            raise typer.BadParameter("a running router has a configuration of its own", param_hint="--config")
        headers = caller_headers(user, project, api_key=api_key, lines=header or [])
        _run(_serve_bridge(url, headers))
    elif user is None:
        raise typer.BadParameter("name the user whose memories are served", param_hint="--user")
    else:
        _run(_serve_store(config, user, project))


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except MemrouterError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED_EXIT) from None


async def _serve_store(config: Path | None, user: str, project: str) -> None:
    scope = Scope(check_identity(user, param="--user"), check_identity(project, param="--project"))
    try:
        from memrouter.mcp.server import open_memory_server
        from memrouter.mcp.stdio import serve_stdio
    except ImportError:
        raise MissingExtra("memrouter mcp", "mcp") from None
    settings = _settings(config)
    refuse_migration(settings.memory, config, hint="or serve the running router with memrouter mcp --url")
    runtime = await Runtime.open(settings, env=os.environ, clock=SystemClock(), rng=random.SystemRandom())
    try:
        await serve_stdio(open_memory_server(runtime, scope_of=lambda _: scope))
    finally:
        await runtime.aclose()


async def _serve_bridge(url: str, headers: dict[str, str]) -> None:
    try:
        from memrouter.mcp.bridge import open_bridge
        from memrouter.mcp.stdio import serve_stdio
    except ImportError:
        raise MissingExtra("memrouter mcp", "mcp") from None
    configure_logging("warning", sys.stderr)
    async with open_bridge(url, headers) as bridge:
        await serve_stdio(bridge.build())


async def _serve_http(config: Path | None, host: str | None, port: int | None) -> None:
    settings = with_address(_settings(config), host, port)
    refuse_migration(settings.memory, config, hint=f"or set global.mcp.enabled in {config_name(config)} and restart it")
    await serve_listeners(settings, create_mcp_app)


def _settings(config: Path | None) -> Settings:
    """Return the settings without model servers, whose keys nobody here need have; logs go to standard error."""
    loaded = load_settings(config, env=os.environ)
    configure_logging(loaded.settings.global_.server.log_level, sys.stderr)
    return loaded.settings.model_copy(update={"providers": ProviderSettings()})
