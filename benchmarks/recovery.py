"""Files of a Valkey server with many memories: their size, making them anew, and the way back after a kill."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.durability import DIMENSION, LOG, up, valkey_store
from benchmarks.memories import Memories
from benchmarks.report import Report, Sheet
from benchmarks.sampling import Spread
from memrouter.config.memory import ValkeySettings
from memrouter.sizing.server import info, number
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import MergeMode
from memrouter.stores.valkey.connection import Connection
from memrouter.testing.valkey import ValkeyServer, serving

PER_USER = 100
USERS_AT_ONCE = 10
WRITERS = 4
QUIET_WRITES = 500
MB = 2**20
_SIZE = re.compile(r"(?P<key>\w+)\.s(?P<size>\d+)\.back_s")
DISK = "on disk, and back after kill -9"
FORK = "making the files anew while four writers write"


@dataclass(frozen=True, slots=True)
class Way:
    """A form in which a server keeps its memories on disk.

    Attributes:
        key: Short name for figures.
        name: Shown in tables.
        args: Of the server.
        compact: The command that makes the files anew; empty leaves the log as it was written.
        index: ``index_algorithm``.
    """

    key: str
    name: str
    args: Sequence[str]
    compact: str = ""
    index: str = "flat"


WAYS = (
    Way("log", "AOF as written", (*LOG, "everysec", "--auto-aof-rewrite-percentage", "0")),
    Way("rewritten", "AOF after a rewrite (RDB preamble)",
        (*LOG, "everysec", "--auto-aof-rewrite-percentage", "0"), "BGREWRITEAOF"),
    Way("rdb", "RDB", ("--save", "86400 1"), "BGSAVE"),
    Way("hnsw", "RDB, HNSW index M 16, EF 256", ("--save", "86400 1"), "BGSAVE", index="hnsw"),
)  # fmt: skip
"""Every form that is measured."""


async def recover(way: Way, memories: int, restarts: int, report: Report) -> None:
    """Fill a server, make its files anew while memories are written, and kill and start it some times."""
    name = f"{way.key}.s{memories}"
    async with ValkeyServer(args=way.args) as server:
        settings = server.settings(timeout=120, index_algorithm=way.index)
        connection, store = await Connection.open(settings), await valkey_store(settings)
        made = Memories(memories, dimension=DIMENSION)
        try:
            await _fill(store, made, memories)
            report.figures[f"{name}.written_bytes"] = Spread.of([folder_bytes(server.directory) / memories])
            if way.compact:
                await _compacted(way, connection, store, made, server.directory, report, name)
            kept = await store.count(None)
        finally:
            await store.aclose()
            await connection.aclose()
        report.figures[f"{name}.disk_bytes"] = Spread.of([folder_bytes(server.directory) / kept])
        loaded, back = [], []
        for _ in range(restarts):
            await server.kill()
            begun = time.perf_counter()
            loaded.append(await up(server))
            await _back(settings)
            back.append(time.perf_counter() - begun)
        report.figures[f"{name}.loaded_s"], report.figures[f"{name}.back_s"] = Spread.of(loaded), Spread.of(back)


async def _fill(store: MemoryStore, made: Memories, memories: int) -> None:
    for first in range(0, memories, PER_USER * USERS_AT_ONCE):
        users = range(first // PER_USER, min(memories, first + PER_USER * USERS_AT_ONCE) // PER_USER)
        records = [record for user in users for record in made.of(f"user{user}", PER_USER)]
        await store.merge(records, mode=MergeMode.SKIP)


async def _compacted(
    way: Way, connection: Connection, store: MemoryStore, made: Memories, folder: Path, report: Report, name: str
) -> None:
    """Make the files anew; note the memory that the fork took, the disk it took, and how writes fared meanwhile."""
    before, after = folder_bytes(folder), asyncio.Event()
    quiet = await _writes(store, made, number_of=QUIET_WRITES)
    writing = [asyncio.create_task(_writes(store, made, until=after)) for _ in range(WRITERS)]
    begun, most = time.perf_counter(), before
    await connection.run([way.compact])
    while (state := await info(connection, "persistence")) and _busy(state):
        most = max(most, folder_bytes(folder))
        await asyncio.sleep(0.01)
    seconds = time.perf_counter() - begun
    after.set()
    beside = [pause for pauses in await asyncio.gather(*writing) for pause in pauses]
    kind = "rdb" if way.compact == "BGSAVE" else "aof"
    memory = await info(connection, "memory")
    stats = await info(connection, "stats")
    report.figures |= {
        f"{name}.compact_s": Spread.of([seconds]),
        f"{name}.cow_mb": Spread.of([number(state, f"{kind}_last_cow_size") / MB]),
        f"{name}.used_mb": Spread.of([number(memory, "used_memory") / MB]),
        f"{name}.fork_ms": Spread.of([number(stats, "latest_fork_usec") / 1000]),
        f"{name}.peak_to_end": Spread.of([most / max(1, folder_bytes(folder))]),
        f"{name}.quiet_slowest_ms": Spread.of([1000 * max(quiet)]),
        f"{name}.beside_slowest_ms": Spread.of([1000 * max(beside)]),
    }


async def _writes(
    store: MemoryStore, made: Memories, *, number_of: int = 0, until: asyncio.Event | None = None
) -> list[float]:
    """Write some single memories, or until something is over, and return the seconds that each took."""
    found: list[float] = []
    while len(found) < max(1, number_of) or not (until is None or until.is_set()):
        at = time.perf_counter()
        await store.create(made.of("writer", 1))
        found.append(time.perf_counter() - at)
    return found


def _busy(state: Mapping[str, str]) -> bool:
    names = ("rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled")
    return any(number(state, name) for name in names)


async def _back(settings: ValkeySettings) -> None:
    """Return once a store finds through the index what it writes, and the index is complete."""
    store = await valkey_store(settings)
    try:
        for _ in range(100):  # each waits as long as a test would
            with suppress(Exception):
                return await serving(store)
        await serving(store)
    finally:
        await store.aclose()


def folder_bytes(folder: Path) -> int:
    """Return the size of a server's files of memories."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a file of the rewrite that has just ended
            if file.is_file() and file.name != "server.log":
                total += file.stat().st_size
    return total


def tell_recovery(report: Report, console: Console) -> None:
    """Put sizes, times and costs of all that was measured into tables."""
    values = report.figures
    places = {way.key: place for place, way in enumerate(WAYS)}
    found = sorted((int(name["size"]), places[name["key"]]) for name in map(_SIZE.fullmatch, values) if name)
    disk = Sheet(DISK, ("", "memories", "bytes a memory", "loaded after, s", "searched after, s"))
    fork = Sheet(FORK, (
        "", "memories", "takes s", "data MB", "copied pages MB", "fork ms", "disk at most, of the end",
        "slowest write ms", "before it ms",
    ))  # fmt: skip
    for memories, place in found:
        way = WAYS[place]
        name = f"{way.key}.s{memories}"
        disk.rows.append((
            way.name, f"{memories:,}", f"{values[f'{name}.disk_bytes'].median:,.0f}",
            f"{values[f'{name}.loaded_s'].median:.2f}", f"{values[f'{name}.back_s'].median:.2f}",
        ))  # fmt: skip
        if f"{name}.cow_mb" in values:
            keys = ("compact_s", "used_mb", "cow_mb", "fork_ms", "peak_to_end", "beside_slowest_ms", "quiet_slowest_ms")
            fork.rows.append((way.name, f"{memories:,}", *(f"{values[f'{name}.{key}'].median:,.1f}" for key in keys)))
    disk.note = "*Searched*: the index has all memories and finds what is written. RediSearch fills its index anew."
    report.add(disk, console)
    if fork.rows:
        report.add(fork, console)
