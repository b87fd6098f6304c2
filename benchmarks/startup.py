"""``python -m benchmarks.startup``: from the command to the first ready answer, and the memory of a router at rest."""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmarks.arguments import parameters, parser
from benchmarks.backends import Section, backend
from benchmarks.load.generator import echo_server
from benchmarks.report import Report, Sheet
from benchmarks.routers import litellm_command, plain_settings, serve_command
from benchmarks.running import finish
from benchmarks.sampling import Spread, quotient
from benchmarks.usage import rss_bytes
from memrouter.demo.processes import DemoError, free_port

REST_SECONDS = 1.0
"""How long a router is left alone before its memory is read."""
MOST_SECONDS = 120.0
PLAIN = "import fastapi, uvicorn, aiohttp, numpy; print('ready', flush=True); import time; time.sleep(60)"


@dataclass(slots=True)
class Start:
    """One way to start.

    Attributes:
        key: Short name for figures.
        name: Shown in tables.
        command: What is run.
        env: Its environment.
        port: Where it answers; 0 for a program that prints a line when it is ready.
        path: What is asked for there until the answer is 200.
        seconds: To the first ready answer, by round.
        megabytes: At rest, by round.
    """

    key: str
    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    port: int = 0
    path: str = ""
    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    async def once(self, log: Path, *, counts: bool) -> None:
        """Start, wait until it is ready, let it rest, look at its memory, end it."""
        with log.open("wb") as output:
            begun = time.perf_counter()
            process = await asyncio.create_subprocess_exec(
                *self.command, env=dict(self.env), stdin=asyncio.subprocess.DEVNULL,
                stdout=output if self.port else asyncio.subprocess.PIPE, stderr=output,
            )  # fmt: skip
            try:
                async with asyncio.timeout(MOST_SECONDS):
                    await self._ready(process, log)
                taken = time.perf_counter() - begun
                await asyncio.sleep(REST_SECONDS)
                if counts:
                    self.seconds.append(taken)
                    self.megabytes.append(rss_bytes(process.pid) / 2**20)
            finally:
                if process.returncode is None:
                    process.terminate()
                await process.wait()

    async def _ready(self, process: asyncio.subprocess.Process, log: Path) -> None:
        if not self.port:
            assert process.stdout is not None
            await process.stdout.readline()
            return
        while not await _answers(self.port, self.path):
            if process.returncode is not None:
                raise DemoError(f"{self.name} ended: {log.read_text(errors='replace')[-500:]}")
            await asyncio.sleep(0.005)


async def _answers(port: int, path: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
        return b" 200 " in await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()


async def starts(
    stack: AsyncExitStack, folder: Path, chosen: argparse.Namespace, report: Report, console: Console
) -> list[Start]:
    """Return what is to be started, the least first."""
    upstream, _ = await stack.enter_async_context(echo_server(folder))
    plain = [sys.executable, "-c", PLAIN]
    made = [Start("plain", "Python that imports FastAPI, uvicorn, aiohttp and numpy", plain, os.environ)]
    sections: dict[str, Section] = {"none": {"enabled": False}} if chosen.full else {}
    for kind in chosen.stores:
        sections[kind] = (await stack.enter_async_context(backend(kind))).apart("start")
    titles = {"none": "no memory", "sqlite": "SQLite", "valkey": "Valkey", "milvus": "Milvus"}
    for key, section in sections.items():
        port, file = free_port(), folder / f"{key}.yaml"
        file.write_text(json.dumps(plain_settings(upstream, port=port, memory=section)), encoding="utf-8")
        made.append(Start(key, f"memrouter, {titles[key]}", serve_command(file), os.environ, port, "/ready"))
    if chosen.peers:
        try:
            command, environment, port = litellm_command(folder, upstream)
            made.append(Start("litellm", "LiteLLM proxy", command, environment, port, "/health/liveliness"))
        except DemoError as error:
            report.failed("LiteLLM proxy", str(error), console)
    return made


async def run(chosen: argparse.Namespace, console: Console) -> Report:
    """Measure and print everything."""
    report = Report("startup", "Start and rest", parameters(chosen, ("rounds", "stores", "peers")))
    rng = random.Random(0)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = await starts(stack, folder, chosen, report, console)
        for number in range(-1, chosen.rounds):
            for start in rng.sample(made, len(made)):
                try:
                    await start.once(folder / f"{start.key}.log", counts=number >= 0)
                except (DemoError, TimeoutError) as error:
                    if start.key != "litellm":
                        raise
                    report.failed(start.name, str(error) or f"not ready within {MOST_SECONDS:.0f} s", console)
                    made.remove(start)
    _tell(made, report, console)
    return report


def _tell(made: Sequence[Start], report: Report, console: Console) -> None:
    columns = ("", "ready after s", "least to most", "ratio", "RSS MB at rest", "least to most")
    sheet = Sheet("start to ready, and memory at rest", columns)
    for start in made:
        seconds, megabytes = Spread.of(start.seconds), Spread.of(start.megabytes)
        report.figures[f"{start.key}.ready_s"] = seconds
        report.figures[f"{start.key}.rss_mb"] = megabytes
        sheet.rows.append(
            (
                start.name,
                f"{seconds.median:.2f}",
                f"{seconds.low:.2f} to {seconds.high:.2f}",
                f"{quotient(start.seconds, made[0].seconds).median:.1f}",
                f"{megabytes.median:.0f}",
                f"{megabytes.low:.0f} to {megabytes.high:.0f}",
            )
        )
    report.add(sheet, console)


def main() -> None:
    """Read the arguments, measure, and write the JSON file."""
    chosen = parser(__doc__ or "", stores=True, peers=True).parse_args()
    chosen.peers = chosen.peers and chosen.full  # a start of LiteLLM takes some 15 s
    finish(run, chosen, width=140)


if __name__ == "__main__":
    main()
