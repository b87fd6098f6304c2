"""``memrouter mcp`` as a client starts it: real processes, and what it says where it cannot serve."""

import json
import logging
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import TextContent
from typer.testing import CliRunner

from memrouter.cli.main import app
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.models.memory import Scope
from memrouter.runtime import Runtime

LUNA = "The user has a cat called Luna."
START = ["-m", "memrouter", "mcp"]


@pytest.fixture(autouse=True)
def logging_is_left_as_it_was() -> Iterator[None]:
    """Commands send all logs to a stream that closes with them."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    memory = {"embedding_model": "hash", "sqlite": {"path": str(tmp_path / "m.db")}}
    file = tmp_path / "router.yaml"
    file.write_text(yaml.safe_dump({"version": "v0.3", "global": {"stores": {"memory": memory}}}))
    return file


async def test_a_client_that_starts_it_has_the_memories_of_the_named_user(config: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable, args=[*START, "--config", str(config)], env={"MEMROUTER_USER": "ann"}
    )
    with (config.parent / "log").open("w") as log:
        async with Client(stdio_client(server, errlog=log)) as client:
            (content,) = (await client.call_tool("remember", {"content": LUNA})).content
            assert isinstance(content, TextContent)
            assert content.text.startswith("Remembered")
            assert (await client.call_tool("list", {})).structured_content["total"] == 1
    assert "cat" not in (config.parent / "log").read_text()
    settings = load_settings(config, env={}).settings
    runtime = await Runtime.open(settings, env={}, clock=SystemClock(), rng=random.Random(1))
    try:
        assert runtime.memory is not None
        (record,) = (await runtime.memory.list(Scope("ann"))).records
        assert record.content == LUNA
    finally:
        await runtime.aclose()


def test_it_ends_when_it_is_told_to_though_its_input_stays_open(config: Path) -> None:
    hello = '{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n'
    with subprocess.Popen(
        [sys.executable, *START, "--config", str(config), "--user", "ann"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(hello)
        process.stdin.flush()
        assert '"id":1' in process.stdout.readline().replace(" ", "")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name the user"),
        (["--http", "--user", "ann"], "each request says who is calling"),
        (["--http", "--url", "http://127.0.0.1:1"], "each request says who is calling"),
        (["--url", "http://127.0.0.1:1", "--config", "router.yaml"], "configuration of its own"),
        (["--url", "http://127.0.0.1:1", "--header", "nothing"], "NAME: VALUE"),
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(app, ["mcp", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())


def test_without_the_sdk_the_way_to_it_is_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("memrouter.mcp.server", "memrouter.mcp.bridge", "memrouter.api.mcp"):
        monkeypatch.setitem(sys.modules, name, None)
    for arguments in (
        ["--user", "ann", "--config", str(config)],
        ["--url", "http://127.0.0.1:1"],
        ["--http", "--port", "0", "--config", str(config)],
    ):
        result = CliRunner().invoke(app, ["mcp", *arguments])
        assert result.exit_code == 2
        assert "pip install 'memrouter[mcp]'" in result.output


def test_a_store_that_is_moving_is_not_opened_beside_its_router(config: Path) -> None:
    data = yaml.safe_load(config.read_text())
    data["global"]["stores"]["memory"]["migration"] = {"to": {"sqlite": {"path": str(config.parent / "new.db")}}}
    config.write_text(yaml.safe_dump(data))
    result = CliRunner().invoke(app, ["mcp", "--user", "ann", "--config", str(config)])
    assert result.exit_code == 2
    assert "--url" in result.output
    assert not (config.parent / "m.db").exists()


def test_the_client_files_of_the_page_start_a_command_that_exists() -> None:
    page = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text()
    servers = [json.loads(block)["mcpServers"]["memory"] for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert len(servers) == 2
    command: Any = typer.main.get_command(app)
    parameters = command.commands["mcp"].params
    options = {option for parameter in parameters for option in parameter.opts}
    variables = {parameter.envvar for parameter in parameters}
    for server in servers:
        assert (server["command"], server["args"][0]) == ("memrouter", "mcp")
        assert {word for word in server["args"] if word.startswith("-")} <= options
        assert set(server["env"]) <= variables
