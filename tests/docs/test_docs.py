"""Every block of code in the documents does what the page says, against a real router."""

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import zip_longest
from pathlib import Path

import httpx
import pytest
import yaml

from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.testing.clock import ManualClock

from .command_lines import to_run
from .fences import FENCES, PAGES, ROOT, SHELL, Fence, commands, fences, of_kind
from .router import HOST, REPLY, USER, Router, running_router

FILES = Path(__file__).parent / "files"
KINDS = {"yaml", "yaml fragment", "yaml other", "python", "python pytest", *SHELL, "json", "ini", "text"}
STUB = """
version: v0.3
providers: {models: [{name: qwen3, backend_refs: [{endpoint: "127.0.0.1:8000"}]}]}
"""


def is_program(fence: Fence) -> bool:
    if fence.kind in SHELL:
        return any(is_call(words) or to_run(words) is not None for words in commands(fence.text))
    return fence.kind == "python"


def is_call(words: list[str]) -> bool:
    """Whether a command asks the router that the documents speak of."""
    return words[0] == "curl" and any(HOST in word for word in words)


def page_name(page: Path) -> str:
    return page.name


@pytest.fixture
async def router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Router]:
    if FILES.is_dir():
        shutil.copytree(FILES, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
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
async def test_programs_and_commands_run_in_the_order_of_the_page(page: Path, router: Router) -> None:
    blocks = fences(page)
    for fence, after in zip_longest(blocks, blocks[1:]):
        if not is_program(fence):
            continue
        output = await outcome(fence, router)
        if after is not None and after.kind == "json":
            assert shape(json.loads(output)) == shape(json.loads(after.text)), str(after)
        await router.settle()


async def outcome(fence: Fence, router: Router) -> str:
    """Do what a block says and return what it printed."""
    if fence.kind == "python":
        return await router.run(sys.executable, "-c", fence.text.replace(HOST, router.address))
    output = ""
    for words in commands(fence.text):
        if is_call(words):
            output = await router.curl(words)
            assert ('"error":{' in output) == (fence.kind == "sh error"), f"{fence}: {output}"
        elif (ours := to_run(words)) is not None:
            status, output = await router.memrouter(ours)
            assert (status != 0) == (fence.kind == "sh error"), f"{fence}: {' '.join(words)}: {output}"
    return output


async def test_the_tour_of_the_readme_ends_in_a_remembered_fact(router: Router) -> None:
    tour = [
        fence for fence in fences(ROOT / "README.md") if "/v1/chat/completions" in fence.text and "curl" in fence.text
    ]
    asked = [fence for fence in fences(ROOT / "README.md") if fence.kind == "python"]
    await outcome(tour[0], router)
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
