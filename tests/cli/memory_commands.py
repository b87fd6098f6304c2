"""What the tests of ``memrouter memory`` share: a filled store, a router in front of it, and a way to run commands."""

import asyncio
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from click.testing import Result
from typer.testing import CliRunner

from memrouter.api.app import create_app
from memrouter.cli.main import app
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.config.providers import ProviderSettings
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.models.memory import Scope
from memrouter.runtime import Runtime

CAT = "My cat is called Luna."
PIN = "The pin of my cat flap is 1234."
BAKER = "I work as a baker in Oslo."
QUESTION = "what is my cat called"
ANN = ["--user", "ann"]


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["memory", *words])


async def filled(file: Path, work: Callable[[Runtime], Any] | None = None) -> None:
    settings = load_settings(file, env={}).settings.model_copy(update={"providers": ProviderSettings()})
    runtime = await Runtime.open(settings, env={}, clock=SystemClock(), rng=random.Random(1))
    try:
        assert runtime.memory is not None
        await runtime.memory.remember(Scope("ann"), [MemoryDraft(text) for text in (CAT, PIN, BAKER)])
        await runtime.memory.remember(Scope("Ann"), [MemoryDraft("The other Ann has a cat called Mars.")])
        if work is not None:
            await work(runtime)
    finally:
        await runtime.aclose()


@contextmanager
def served(config: Path) -> Iterator[str]:
    """A router on a port of its own, in a thread of its own; gives its address."""
    bound = socket.create_server(("127.0.0.1", 0))
    settings = load_settings(config, env={}).settings.model_copy(update={"providers": ProviderSettings()})
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        runtime = await Runtime.open(settings, env={}, clock=SystemClock(), rng=random.Random(1))
        application = create_app(runtime, settings.listeners[0])
        server = uvicorn.Server(uvicorn.Config(application, ws="none", lifespan="off", log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        started.set()
        await asyncio.to_thread(stop.wait)
        server.should_exit = True
        await serving
        await runtime.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(60)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        stop.set()
        thread.join()


def parsed(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found
