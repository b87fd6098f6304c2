"""Every block of code in the documents does what the page says, against a real router."""

import argparse
import asyncio
import json
import random
import re
import shlex
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer.main
import uvicorn
import yaml

from memrouter.api.app import create_app
from memrouter.cli.main import app as command_line
from memrouter.clock import Clock, SystemClock
from memrouter.config.load import load_settings
from memrouter.demo.processes import echo_upstream
from memrouter.runtime import Runtime
from memrouter.testing.clock import ManualClock
from memrouter.testing.upstream import Answer, Received, ScriptedUpstream, completion_chunks

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
HOST = "127.0.0.1:8888"
REPLY = "Noted, and I will keep it in mind for the next time."
USER = {"x-authz-user-id": "alice"}
KINDS = {"yaml", "yaml fragment", "python", "python pytest", "sh", "sh error", "json", "text"}
STUB = """
version: v0.3
providers: {models: [{name: qwen3, backend_refs: [{endpoint: "127.0.0.1:8000"}]}]}
"""
CURL = argparse.ArgumentParser(prog="curl", exit_on_error=False)
CURL.add_argument("-s", action="store_true")
CURL.add_argument("-X", dest="method")
CURL.add_argument("-H", dest="header", action="append", default=[])
CURL.add_argument("-d", dest="data")
CURL.add_argument("url")
_FENCE = re.compile(r"^( *)```(?P<kind>[^\n]*)\n(?P<text>.*?)^\1```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z_]+=.*")


@dataclass(frozen=True)
class Fence:
    page: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def fences(page: Path) -> list[Fence]:
    source = page.read_text(encoding="utf-8")
    return [
        Fence(page.name, source[: found.start()].count("\n") + 1, found["kind"].strip(), found["text"])
        for found in _FENCE.finditer(source)
    ]


FENCES = [fence for page in PAGES for fence in fences(page)]


def is_program(fence: Fence) -> bool:
    return fence.kind == "python" or (fence.kind in ("sh", "sh error") and "curl " in fence.text)


def of_kind(*kinds: str) -> list[Fence]:
    return [fence for fence in FENCES if fence.kind in kinds]


def page_name(page: Path) -> str:
    return page.name


@dataclass
class Router:
    """A router over real sockets with a scripted model server behind it."""

    address: str
    runtime: Runtime
    upstream: ScriptedUpstream
    folder: Path

    async def settle(self) -> None:
        """Wait until every chat so far has been stored or skipped."""
        async with asyncio.timeout(10):
            while self._finished() < len(self.upstream.requests):
                await asyncio.sleep(0.01)

    def _finished(self) -> float:
        text = self.runtime.metrics.render().decode()
        counted = re.findall(r"^memrouter_(?:store_queue_done|turns_skipped)_total\S* (\S+)$", text, re.MULTILINE)
        return sum(map(float, counted))

    async def memory_id(self) -> str:
        """Return the id of Alice's newest memory, which is made if she has none."""
        async with httpx.AsyncClient(base_url=f"http://{self.address}", headers=USER) as client:
            memories = (await client.get("/v1/memory")).json()["memories"]
            if not memories:
                content = {"content": "My cat is called Miso."}
                memories = (await client.post("/v1/memory", json=content)).json()["memories"]
        return str(memories[0]["id"])

    async def curl(self, text: str) -> str:
        """Do what the curl commands of a shell block do; return the bodies. No machine need have curl for it."""
        bodies = []
        async with httpx.AsyncClient() as client:
            for words in commands(text):
                call = CURL.parse_args(words[1:])
                headers = dict(header.split(": ", 1) for header in call.header)
                form = {"content-type": "application/x-www-form-urlencoded"} if call.data else {}
                method = call.method or ("POST" if call.data else "GET")
                answer = await client.request(method, call.url, content=call.data, headers={**form, **headers})
                bodies.append(answer.text)
        return "".join(bodies)

    async def run(self, *command: str) -> str:
        """Run a program in the router's folder and return what it printed."""
        process = await asyncio.create_subprocess_exec(
            *command, cwd=self.folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()


def reply(request: Received) -> Answer:
    return Answer.stream(*completion_chunks(REPLY)) if request.json().get("stream") else Answer.completion(REPLY)


@asynccontextmanager
async def running_router(folder: Path, clock: Clock) -> AsyncIterator[Router]:
    async with ScriptedUpstream(reply) as upstream:
        model = {"name": "qwen3", "backend_refs": [{"base_url": upstream.url}]}
        memory = {"sqlite": {"path": str(folder / "memrouter.db"), "synchronous": "normal"}}
        overrides = {
            "providers": {"models": [model]},
            "global": {"mcp": {"enabled": True}, "stores": {"memory": memory}},
        }
        settings = load_settings(None, env={}, overrides=overrides).settings
        runtime = await Runtime.open(settings, env={}, clock=clock, rng=random.Random(1))
        app = create_app(runtime, settings.listeners[0])
        bound = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False))
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            yield Router(f"127.0.0.1:{bound.getsockname()[1]}", runtime, upstream, folder)
        finally:
            server.should_exit = True
            await serving
            await runtime.aclose()


@pytest.fixture
async def router(tmp_path: Path) -> AsyncIterator[Router]:
    async with running_router(tmp_path, SystemClock()) as running:
        yield running


def test_every_page_has_blocks_that_are_found() -> None:
    assert {fence.page for fence in FENCES} >= {"README.md", "quickstart.md", "api.md", "memory.md", "extending.md"}


@pytest.mark.parametrize("fence", FENCES, ids=str)
def test_every_fence_is_of_a_kind_that_is_checked(fence: Fence) -> None:
    assert fence.kind in KINDS


@pytest.mark.parametrize("fence", of_kind("yaml", "yaml fragment"), ids=str)
def test_every_yaml_block_loads_without_a_warning(fence: Fence, tmp_path: Path) -> None:
    text = fence.text
    if fence.kind == "yaml fragment":
        text = yaml.safe_dump({**yaml.safe_load(STUB), **yaml.safe_load(text)})
    file = tmp_path / "router.yaml"
    file.write_text(text, encoding="utf-8")
    loaded = load_settings(file, env={})
    assert loaded.warnings == ()
    assert loaded.settings.providers.models


@pytest.mark.parametrize("page", [page for page in PAGES if any(map(is_program, fences(page)))], ids=page_name)
async def test_python_and_curl_blocks_run_in_the_order_of_the_page(page: Path, router: Router) -> None:
    blocks = fences(page)
    for fence, after in zip_longest(blocks, blocks[1:]):
        text = fence.text.replace(HOST, router.address)
        if fence.kind == "python":
            await router.run(sys.executable, "-c", text)
        elif is_program(fence):
            output = await router.curl(text.replace("$ID", await router.memory_id()))
            assert ('"error":{' in output) == (fence.kind == "sh error"), f"{fence}: {output}"
            if after is not None and after.kind == "json":
                assert shape(json.loads(output)) == shape(json.loads(after.text)), str(after)
        else:
            continue
        await router.settle()


async def test_the_tour_of_the_readme_ends_in_a_remembered_fact(router: Router) -> None:
    tour = [
        fence for fence in fences(ROOT / "README.md") if "/v1/chat/completions" in fence.text and "curl" in fence.text
    ]
    asked = [fence for fence in fences(ROOT / "README.md") if fence.kind == "python"]
    await router.curl(tour[0].text.replace(HOST, router.address))
    await router.settle()
    output = await router.run(sys.executable, "-c", asked[0].text.replace(HOST, router.address))
    assert output.splitlines() == [REPLY, "used 1"]
    assert "peanuts" in router.upstream.requests[-1].json()["messages"][0]["content"]


async def test_the_block_in_memory_md_is_what_the_model_receives(tmp_path: Path) -> None:
    shown = next(fence.text for fence in fences(ROOT / "docs" / "memory.md") if "<memrouter-memories" in fence.text)
    async with (
        running_router(tmp_path, ManualClock()) as router,
        httpx.AsyncClient(base_url=f"http://{router.address}", headers=USER) as client,
    ):
        await client.post("/v1/memory", json={"content": "I am vegetarian & allergic to peanuts."})
        question = {"role": "user", "content": "Am I vegetarian, or allergic to anything?"}
        await client.post("/v1/chat/completions", json={"model": "auto", "messages": [question]})
        block, last = router.upstream.requests[-1].json()["messages"]
    assert last == question
    assert block == {"role": "user", "content": shown.rstrip("\n")}


async def test_api_md_lists_every_route_and_no_other(router: Router) -> None:
    async with httpx.AsyncClient(base_url=f"http://{router.address}") as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    served = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    rows = re.findall(r"^\| ((?:GET|POST|PATCH|DELETE)[^|]*)\|", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert {pair for row in rows for pair in methods_and_paths(row)} == served


@pytest.mark.parametrize("fence", of_kind("python pytest"), ids=str)
async def test_pytest_blocks_pass(fence: Fence, tmp_path: Path) -> None:
    file = tmp_path / "test_block.py"
    file.write_text(fence.text, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider"),
        *("-k", "another or scope", "--rootdir", str(tmp_path), str(file)),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


@pytest.mark.parametrize("fence", of_kind("sh", "sh error"), ids=str)
def test_every_command_exists_with_its_options(fence: Fence) -> None:
    for words in commands(fence.text):
        match words:
            case ["make", target, *_]:
                assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
            case [".venv/bin/memrouter", *rest]:
                check_command_line(rest)
            case [".venv/bin/llm-katan", *rest]:
                known = echo_upstream(8000, Path())
                assert [word for word in rest if word.startswith("--") and word not in known] == []
            case [".venv/bin/python" | ".venv/bin/pytest", path, *_]:
                assert (ROOT / path).exists(), path
            case [program, *_]:
                assert program == "curl", f"{fence}: {program} is not checked"


def commands(text: str) -> Iterator[list[str]]:
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and _ASSIGNMENT.fullmatch(words[0]):
            words.pop(0)
        if words:
            yield words


def check_command_line(words: list[str]) -> None:
    command: Any = typer.main.get_command(command_line)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert [word for word in words if word.startswith("-") and word not in known] == []


def methods_and_paths(row: str) -> Iterator[tuple[str, str]]:
    for methods, path in re.findall(r"((?:[A-Z]+(?:, )?)+) `([^`]+)`", row):
        yield from ((method, path) for method in methods.split(", "))


def shape(value: object) -> object:
    """Return the keys and kinds of a JSON value; of a list its first item counts, and null stands for anything."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "scalar"
