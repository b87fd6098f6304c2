"""A real router over real sockets, in a thread of its own, so that blocking clients can talk to it as well."""

import asyncio
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from anyio.from_thread import start_blocking_portal

from memrouter.api.app import create_app
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.runtime import Runtime


@pytest.fixture(scope="session")
def router_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    bound = socket.create_server(("127.0.0.1", 0))
    folder, stop = tmp_path_factory.mktemp("served"), asyncio.Event()
    with start_blocking_portal() as portal:
        serving = portal.start_task_soon(_serve, folder, bound, stop)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        portal.call(stop.set)
        serving.result()


async def _serve(folder: Path, bound: socket.socket, stop: asyncio.Event) -> None:
    memory = {"sqlite": {"path": str(folder / "served.db"), "synchronous": "normal"}}
    settings = load_settings(None, env={}, overrides={"global": {"stores": {"memory": memory}}}).settings
    runtime = await Runtime.open(settings, env={}, clock=SystemClock(), rng=random.Random(1))
    app = create_app(runtime, settings.listeners[0])
    server = uvicorn.Server(uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    await stop.wait()
    server.should_exit = True
    await serving
    await runtime.aclose()
