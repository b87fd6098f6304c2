"""The servers of the demo: started on free ports, waited for, and always stopped."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias

import aiohttp

from memrouter.errors import MemrouterError

START_SECONDS = 60
STOP_SECONDS = 15


class DemoError(MemrouterError):
    """A server of the demo did not come up or a step of the story did not hold."""


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


Probe: TypeAlias = Callable[[], Awaitable[bool]]
"""Whether a server answers; may raise OSError or aiohttp.ClientError while it does not."""


@contextlib.asynccontextmanager
async def server(
    command: Sequence[str], *, ready_url: str, log: Path, env: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run an HTTP server as a child process while the body runs; it is ready on entry and gone on exit.

    Args:
        command: Program and arguments.
        ready_url: Answers anything but 503 as soon as the server can serve.
        log: File for its output.
        env: Its whole environment.

    Raises:
        DemoError: It ended or was not ready in time; the message holds the end of its output.
    """
    async with aiohttp.ClientSession() as session:

        async def ready() -> bool:
            async with session.get(ready_url) as answer:
                return answer.status != HTTPStatus.SERVICE_UNAVAILABLE

        async with child(command, ready=ready, log=log, env=env) as process:
            yield process


@contextlib.asynccontextmanager
async def child(
    command: Sequence[str], *, ready: Probe, log: Path, env: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run any server as ``server`` does; ``ready`` tells whether it can serve.

    Raises:
        DemoError: It ended or was not ready in time; the message holds the end of its output.
    """
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=output, stderr=asyncio.subprocess.STDOUT, stdin=asyncio.subprocess.DEVNULL, env=dict(env)
        )
    try:
        await _until_ready(process, ready, log)
        yield process
    finally:
        await _stop(process)


async def _until_ready(process: asyncio.subprocess.Process, ready: Probe, log: Path) -> None:
    for _ in range(START_SECONDS * 10):
        if process.returncode is not None:
            break
        with contextlib.suppress(aiohttp.ClientError, OSError):
            if await ready():
                return
        await asyncio.sleep(0.1)
    tail = await asyncio.to_thread(log.read_text, errors="replace")
    raise DemoError(f"a server of the demo is not ready; the end of its output:\n{tail[-2000:]}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def echo_upstream(port: int, folder: Path) -> list[str]:
    """Return the command of a real OpenAI-compatible server that echoes; its files go to ``folder``."""
    return [
        sys.executable, "-m", "llm_katan.cli", "--model", "echo", "--served-model-name", "qwen3", "--backend", "echo",
        "--host", "127.0.0.1", "--port", str(port), "--max-concurrent", "64", "--disable-dashboard",
        "--stats-file", str(folder / "echo-stats.json"),
    ]  # fmt: skip
