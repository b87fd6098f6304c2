"""Writers through a store whose server, or whose process, is killed: which acknowledged memories are missing after."""

import asyncio
import random
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.circumstances import ROOT
from benchmarks.durability import DIMENSION, Mode, kept_busy, sqlite_store, up, valkey_store
from benchmarks.memories import Memories
from benchmarks.report import Report, Sheet
from benchmarks.sampling import Spread
from memrouter.errors import StoreUnavailable
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import ScanQuery
from memrouter.testing.valkey import ValkeyServer, serving

WRITERS = 8
LOSSES = "what kill -9 loses of what was acknowledged"
SOON, LATE = (0.3, 3.0), (1.0, 12.0)
"""Seconds from the first write to the kill: least and most; late where there are snapshots."""
STILL_SECONDS = 0.05
LEAST_AGE = 0.01


@dataclass(slots=True)
class Losses:
    """What became of acknowledged memories.

    Attributes:
        acknowledged: How many, kill by kill.
        lost: How many of those are missing.
        oldest: Seconds from the acknowledgement of the oldest missing one to the kill; 0 where none is missing.
        back: Seconds from the start of the server until a search finds what is written.
    """

    acknowledged: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    oldest: list[float] = field(default_factory=list)
    back: list[float] = field(default_factory=list)

    @property
    def written(self) -> int:
        """Return how many memories were acknowledged in all, each counted once."""
        kept = (before - gone for before, gone in zip(self.acknowledged, self.lost, strict=True))
        return sum(self.acknowledged) - sum(list(kept)[:-1])

    def note(self, acknowledged: Mapping[str, float], kept: set[str], killed: float) -> None:
        """Count one kill.

        Args:
            acknowledged: When each memory was acknowledged, by its id.
            kept: Ids that are there afterwards.
            killed: When the kill was.
        """
        missing = [at for memory_id, at in acknowledged.items() if memory_id not in kept]
        self.acknowledged.append(len(acknowledged))
        self.lost.append(len(missing))
        self.oldest.append(max(0.0, killed - min(missing)) if missing else 0.0)


async def killed_servers(
    mode: Mode, kills: int, rng: random.Random, *, after: tuple[float, float] | None = None
) -> Losses:
    """Kill the server of a mode again and again, each time while memories are written.

    Args:
        mode: How memories are kept.
        kills: How often.
        rng: Chooses the moments.
        after: Seconds from the first write to a kill, least and most; None takes what fits the mode.
    """
    moments = after or (LATE if mode.snapshots else SOON)
    losses, memories = Losses(), Memories(rng.randrange(1_000_000), dimension=DIMENSION)
    alive: dict[str, float] = {}
    async with ValkeyServer(args=mode.args) as server, kept_busy(mode.busy):
        for _ in range(kills):
            store = await valkey_store(server.settings())
            before = len(alive)
            writing = [asyncio.create_task(_write(store, memories, writer, alive)) for writer in range(WRITERS)]
            while len(alive) == before and not all(task.done() for task in writing):
                await asyncio.sleep(0.005)
            await asyncio.sleep(rng.uniform(*moments))
            killed = asyncio.get_running_loop().time()
            await server.kill()
            await _ended(writing)
            await store.aclose()
            begun = asyncio.get_running_loop().time()
            await up(server)
            store = await valkey_store(server.settings())
            await serving(store)
            losses.back.append(asyncio.get_running_loop().time() - begun)
            kept = await ids(store)
            await store.aclose()
            losses.note(alive, kept, killed)
            alive = {memory_id: at for memory_id, at in alive.items() if memory_id in kept}
        await server.stop()  # takes a snapshot's process with it, which would go on writing into the folder
    return losses


async def _ended(writing: Sequence[asyncio.Task[None]]) -> None:
    """Let writers take in what the server has still said, and end them: their client would wait for its return."""
    await asyncio.sleep(STILL_SECONDS)
    for task in writing:
        task.cancel()
    await asyncio.gather(*writing, return_exceptions=True)


async def _write(store: MemoryStore, memories: Memories, writer: int, acknowledged: dict[str, float]) -> None:
    """Write memories one after the other until cancelled, or the server is gone."""
    loop = asyncio.get_running_loop()
    while True:
        (record,) = memories.of(f"user{writer}", 1)
        try:
            await store.create([record])
        except StoreUnavailable:
            return
        acknowledged[record.id] = loop.time()


async def killed_writers(synchronous: str, kills: int, rng: random.Random) -> Losses:
    """Kill a process that writes to an SQLite file again and again."""
    losses = Losses()
    alive: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "memories.db"
        for kill in range(kills):
            command = [sys.executable, "-m", "benchmarks.sqlite_writer", str(file), synchronous, str(kill)]
            process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
            assert process.stdout is not None
            reading = asyncio.create_task(_acknowledged(process.stdout, alive))
            while not reading.done() and not any(memory_id.startswith(f"k{kill}-") for memory_id in alive):
                await asyncio.sleep(0.02)
            await asyncio.sleep(rng.uniform(*SOON))
            killed = asyncio.get_running_loop().time()
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await reading
            begun = asyncio.get_running_loop().time()
            store = await sqlite_store(file, synchronous)
            await store.check()
            losses.back.append(asyncio.get_running_loop().time() - begun)
            kept = await ids(store)
            await store.aclose()
            losses.note(alive, kept, killed)
            alive = {memory_id: at for memory_id, at in alive.items() if memory_id in kept}
    return losses


async def _acknowledged(lines: asyncio.StreamReader, into: dict[str, float]) -> None:
    """Note the ids that a writer prints, until it ends; the last line may have been cut off."""
    loop = asyncio.get_running_loop()
    async for line in lines:
        if line.endswith(b"\n"):
            into[line.decode().strip()] = loop.time()


async def ids(store: MemoryStore) -> set[str]:
    """Return the ids of all memories that a store has."""
    return {record.id async for page in store.scan(ScanQuery()) for record in page.records}


def tell_losses(found: Mapping[str, tuple[str, Losses]], report: Report, console: Console) -> None:
    """Put the losses into the report, as ``<mode>.kill.<what>``."""
    columns = ("", "kills", "acknowledged", "lost", "most in one kill", "oldest lost, s", "back after, s")
    sheet = Sheet(LOSSES, columns)
    for key, (name, losses) in found.items():
        report.figures[f"{key}.kill.acknowledged"] = Spread.of(losses.acknowledged)
        report.figures[f"{key}.kill.lost"] = Spread.of(losses.lost)
        report.figures[f"{key}.kill.oldest_s"] = Spread.of(losses.oldest)
        report.figures[f"{key}.kill.back_s"] = Spread.of(losses.back)
        sheet.rows.append((
            name, str(len(losses.lost)), f"{losses.written:,}", f"{sum(losses.lost):,}", f"{max(losses.lost):,}",
            _age(max(losses.oldest)) if any(losses.lost) else "", f"{np.median(losses.back):.2f}",
        ))  # fmt: skip
    sheet.note = (
        f"{WRITERS} writers on Valkey, one on SQLite, through memrouter's store; killed {SOON[0]:g} to {SOON[1]:g} s "
        f"after the first write, with RDB {LATE[0]:g} to {LATE[1]:g} s after it. "
        "*Back*: until a search finds what is written."
    )
    report.add(sheet, console)


def _age(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds >= LEAST_AGE else f"< {LEAST_AGE}"
