"""Every example runs as a program of its own, against a scripted model server and a real router."""

import asyncio
import os
import random
import socket
import sys
from pathlib import Path

import pytest
import uvicorn

from memrouter.api.app import create_app
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.runtime import Runtime
from memrouter.testing.upstream import Answer, ScriptedUpstream

EXAMPLES = Path(__file__).parents[2] / "examples"
REPLY = "Noted, and I will keep it in mind for the next time."
KNOWN = {
    "embedded_chat.py": "walnuts and mangoes",
    "langgraph_store.py": "My dog is called Rex.",
    "openai_agents_session.py": "walnuts and mangoes",
}


async def run(example: Path, *arguments: str, folder: Path, model: str) -> str:
    env = {**os.environ, "OPENAI_BASE_URL": model, "OPENAI_API_KEY": "none", "MEMORY_FILE": str(folder / "m.db")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(example), *arguments),
        cwd=folder,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*KNOWN, "client_tour.py"}


@pytest.mark.parametrize("name", KNOWN)
async def test_an_example_gives_the_model_what_was_said_before(name: str, tmp_path: Path) -> None:
    async with ScriptedUpstream(Answer.completion(REPLY)) as model:
        output = await run(EXAMPLES / name, folder=tmp_path, model=model.url)
        assert output.count(REPLY) == 2
        first, last = (str(request.json()["messages"]) for request in model.requests)
    assert first.count(KNOWN[name]) == 1
    assert KNOWN[name] in last


async def test_the_tour_of_the_client_talks_to_a_router(tmp_path: Path) -> None:
    memory = {"sqlite": {"path": str(tmp_path / "served.db")}}
    settings = load_settings(None, env={}, overrides={"global": {"stores": {"memory": memory}}}).settings
    runtime = await Runtime.open(settings, env={}, clock=SystemClock(), rng=random.Random(1))
    bound = socket.create_server(("127.0.0.1", 0))
    app = create_app(runtime, settings.listeners[0])
    server = uvicorn.Server(uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        output = await run(EXAMPLES / "client_tour.py", url, folder=tmp_path, model="http://127.0.0.1:9")
    finally:
        server.should_exit = True
        await serving
        await runtime.aclose()
    assert "I drink coffee." in output
    assert output.endswith("2 memories exported\n")
