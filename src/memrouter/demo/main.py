"""Sets the stage of the demo, plays it, and clears everything away."""

import contextlib
import os
import sys
import tempfile
from importlib import resources
from pathlib import Path

import aiohttp
from rich.console import Console

from memrouter.demo.processes import echo_upstream, free_port, server
from memrouter.demo.screen import Screen
from memrouter.demo.story import Story
from memrouter.demo.tap import Tap


async def play(console: Console) -> int:
    """Play the story on temporary files and free ports; return the number of steps that held.

    Raises:
        DemoError: A server did not start, or a step did not hold.
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
        config = stage.enter_context(resources.as_file(resources.files("memrouter.demo") / "config.yaml"))
        await stage.enter_async_context(
            server(
                [sys.executable, "-m", "memrouter", "serve", "--config", str(config)],
                ready_url=f"{router}/ready",
                log=folder / "router.log",
                env={
                    **os.environ,
                    "DEMO_PORT": str(router_port),
                    "DEMO_UPSTREAM": tap.address,
                    "DEMO_DATABASE": str(folder / "memories.db"),
                },
            )
        )
        console.print(f"model server: llm-katan (echo) on {upstream} · router: memrouter on {router} · store: SQLite")
        session = await stage.enter_async_context(aiohttp.ClientSession())
        await Story(url=router, tap=tap, screen=screen, session=session).play()
    return screen.held
