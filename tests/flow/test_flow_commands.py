"""``memrouter serve`` and ``memrouter demo`` as a user runs them."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memrouter.demo.processes import free_port, server
from memrouter.testing.upstream import Answer, ScriptedUpstream

from .servers import CANARY, Router, caller_sessions, kept_contents

MEMROUTER = (sys.executable, "-m", "memrouter")
FACT = f"My {CANARY} is called Figaro and I bought it in Porto last spring."


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without what configures a router, and with these variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MEMROUTER_")}
    return {**kept, **variables}


async def run(folder: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run the command to its end in a folder, and return its exit status and all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        *MEMROUTER,
        *arguments,
        cwd=folder,
        env=environment(**variables),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    output, _ = await process.communicate()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # nothing of its process group is left
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_without_config_or_upstream_the_way_out_is_named(tmp_path: Path) -> None:
    status, output = await run(tmp_path, "serve")
    assert status == 2
    assert "memrouter serve --upstream http://" in output
    assert "MEMROUTER_UPSTREAM" in output
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


@contextlib.asynccontextmanager
async def laptop_router(folder: Path, *arguments: str, **variables: str) -> AsyncIterator[Router]:
    """Run ``memrouter serve`` with these arguments in a folder."""
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "router.log"
    script = 'cd "$0" && exec "$@"'
    command = ["sh", "-c", script, str(folder), *MEMROUTER, "serve", "--port", str(port), *arguments]
    async with (
        server(command, ready_url=f"{url}/ready", log=log, env=environment(**variables)) as process,
        caller_sessions(url) as (http, openai),
    ):
        yield Router(url, process, log, folder / "memrouter.db", http, openai)


async def test_with_an_upstream_alone_models_are_found_and_memories_are_in_the_folder(
    tmp_path: Path, echo_server: str
) -> None:
    arguments = ("--upstream", f"http://{echo_server}/v1")
    async with laptop_router(tmp_path, *arguments, MEMROUTER_UPSTREAM_KEY="anything") as router:
        alice = router.caller(CANARY)
        assert [model.id async for model in alice.openai.models.list()] == ["auto", "MoM", "qwen3"]
        assert (await alice.chat(FACT, model="auto")).memory == "missing"
        await alice.stored(1)
        assert (await alice.chat("How is my canary called?", model="auto")).memory == "used"
        await alice.stored(2)
    contents = kept_contents(tmp_path / "memrouter.db")
    assert any(content.startswith(f"Q: {FACT}") for content in contents)
    assert CANARY not in (tmp_path / "router.log").read_text()


async def test_the_upstream_can_come_from_the_environment_and_the_models_from_the_command_line(
    tmp_path: Path,
) -> None:
    async with (
        ScriptedUpstream() as upstream,
        laptop_router(tmp_path, "--model", "one", "--model", "two", MEMROUTER_UPSTREAM=upstream.url) as router,
    ):
        assert [model.id async for model in router.openai.models.list()] == ["auto", "MoM", "one", "two"]
        assert (await router.caller(CANARY).chat(FACT, model="two")).text == "ok"
        assert [request.json()["model"] for request in upstream.requests if request.body] == ["two"]


async def test_an_upstream_that_is_not_there_is_named(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    status, output = await run(tmp_path, "serve", "--upstream", url, "--port", "0")
    assert status == 2
    assert url in output
    assert "--model NAME" in output
    assert "Traceback" not in output


async def test_an_upstream_without_models_is_named(tmp_path: Path) -> None:
    async with ScriptedUpstream(Answer.json({"object": "list", "data": []})) as upstream:
        status, output = await run(tmp_path, "serve", "--upstream", upstream.url, "--port", "0")
    assert status == 2
    assert "no model" in output


async def test_a_port_in_use_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, output = await run(
            tmp_path, "serve", "--upstream", "http://127.0.0.1:9/v1", "--model", "m", "--port", str(port)
        )
    assert status == 2
    assert f"127.0.0.1:{port}" in output
    assert "memrouter serve --port" in output
    assert "Traceback" not in output
    assert not (tmp_path / "memrouter.db").exists()


async def test_every_fault_of_a_configuration_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "router.yaml"
    file.write_text(
        "version: v0.3\n"
        "listeners: [{port: 99999}]\n"
        "providers:\n  models: [{name: m, backend_refs: [{endpoint: '127.0.0.1:9'}]}]\n"
        "global:\n  stores:\n    memory:\n      backnd: sqlite\n"
    )
    status, output = await run(tmp_path, "serve", "--config", str(file))
    assert status == 2
    assert f"{file}:2: listeners" in output
    assert f"{file}:8: global.stores.memory.backnd" in output
    assert "backend" in output.replace("backend_refs", "")
    assert "Traceback" not in output


async def test_a_configuration_that_does_not_exist_is_named(tmp_path: Path) -> None:
    status, output = await run(tmp_path, "serve", "--config", "nowhere.yaml")
    assert status == 2
    assert "nowhere.yaml" in output
    assert "Traceback" not in output


async def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "memrouter.db"
    other.write_bytes(b"this is a diary about a canary, and no database at all " * 100)
    before = other.read_bytes()
    status, output = await run(tmp_path, "serve", "--upstream", "http://127.0.0.1:9/v1", "--model", "m", "--port", "0")
    assert status == 2
    assert "memrouter.db" in output
    assert "Traceback" not in output
    assert other.read_bytes() == before


async def test_the_demo_holds_and_leaves_nothing_running(tmp_path: Path) -> None:
    status, output = await run(tmp_path, "demo", TMPDIR=str(tmp_path))
    assert status == 0, output
    assert "steps held" in output
    assert list(tmp_path.iterdir()) == []
