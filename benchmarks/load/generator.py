"""The process of the clients, as the benchmarks use it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.circumstances import ROOT
from memrouter.demo.processes import free_port, server

_MOST_BYTES = 256 * 2**20


class Generator:
    """Has the clients ask, and returns what they saw; open with ``load_generator``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(
        self, port: int, *, clients: int, seconds: float, stream: bool = False, least: int = 0, rate: float = 0.0
    ) -> Any:
        """Carry out one order; see ``benchmarks.load.worker.Order``.

        Raises:
            RuntimeError: The process of the clients has ended.
        """
        order = {
            "port": port, "clients": clients, "seconds": seconds, "stream": stream, "least": least, "rate": rate
        }  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load generator has ended; what it wrote stands above")
        return msgspec.json.decode(line)


@asynccontextmanager
async def load_generator(turns: Sequence[tuple[str, str]], folder: Path) -> AsyncIterator[Generator]:
    """Run the clients' process while the body runs.

    Args:
        turns: User and what is said, over and over.
        folder: Where its file goes.
    """
    file = folder / "turns.json"
    file.write_bytes(msgspec.json.encode(turns))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.load.worker", str(file),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT, limit=_MOST_BYTES,
    )  # fmt: skip
    try:
        yield Generator(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def echo_server(folder: Path) -> AsyncIterator[tuple[int, int]]:
    """Run the model server while the body runs; give its port and its process id."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.load.echo", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ready = f"http://127.0.0.1:{port}/v1/models"
    async with server(command, ready_url=ready, log=folder / "echo.log", env=environment) as process:
        yield port, process.pid
