"""Sets the stage of the demo, plays it, and clears everything away."""

import contextlib
import os
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Final, Literal, TypeAlias

import aiohttp
from rich.console import Console

from memrouter.demo.processes import echo_upstream, free_port, server
from memrouter.demo.screen import Screen
from memrouter.demo.story import Story
from memrouter.demo.tap import Tap
from memrouter.demo.valkey import require_packages, valkey_server

StoreName: TypeAlias = Literal["sqlite", "valkey"]
TITLES: Final[dict[StoreName, str]] = {"sqlite": "SQLite", "valkey": "Valkey"}


async def play(console: Console, *, store: StoreName = "sqlite") -> int:
    """Play the story on temporary files and free ports; return the number of steps that held.

    Args:
        console: Where to print.
        store: Where the router keeps memories; a Valkey server is started for the story.

    Raises:
        DemoError: A server did not start, or a step did not hold.
        MissingExtra: The packages of the store's server are not installed.
    """
    screen = Screen(console)
    async with contextlib.AsyncExitStack() as stage:
        folder = Path(stage.enter_context(tempfile.TemporaryDirectory(prefix="memrouter-demo-")))
        upstream_port, router_port = free_port(), free_port()
        upstream, router = (f"http://127.0.0.1:{port}" for port in (upstream_port, router_port))
        await stage.enter_async_context(
            server(
                echo_upstream(upstream_port, folder),
                ready_url=f"{upstream}/v1/models",
                log=folder / "upstream.log",
                env=os.environ,
            )
        )
        tap = Tap(upstream)
        await tap.start()
        stage.push_async_callback(tap.aclose)
        variables = await _open_store(stage, store, folder)
        config = stage.enter_context(resources.as_file(resources.files("memrouter.demo") / "config.yaml"))
        await stage.enter_async_context(
            server(
                [sys.executable, "-P", "-m", "memrouter", "serve", "--config", str(config)],
                ready_url=f"{router}/ready",
                log=folder / "router.log",
                env={
                    **os.environ,
                    "DEMO_PORT": str(router_port),
                    "DEMO_UPSTREAM": tap.address,
                    **variables,
                },
            )
        )
        console.print(
            f"model server: llm-katan (echo) on {upstream} · router: memrouter on {router} · store: {TITLES[store]}"
        )
        session = await stage.enter_async_context(aiohttp.ClientSession())
        await Story(url=router, tap=tap, screen=screen, session=session).play()
    return screen.held


async def _open_store(stage: contextlib.AsyncExitStack, store: StoreName, folder: Path) -> dict[str, str]:
    """Start the store's server, if it has one; return the variables of the router's configuration."""
    if store == "sqlite":
        return {"DEMO_STORE": store, "DEMO_DATABASE": str(folder / "memories.db")}
    require_packages()
    port = await stage.enter_async_context(valkey_server(folder))
    return {"DEMO_STORE": store, "DEMO_VALKEY_PORT": str(port)}
