"""Ways of a store to keep what was acknowledged, each with its server or file, empty at first."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.circumstances import ROOT
from benchmarks.memories import MODEL
from memrouter.config.memory import SqliteSettings, ValkeySettings
from memrouter.stores.base import MemoryStore
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.valkey import ValkeyServer

DIMENSION = 256
LOG = ("--appendonly", "yes", "--appendfsync")
START_SECONDS = 300.0
BUSY_BLOCK = 8 * 2**20
_BUSY = """
import os, sys
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
while True:
    os.pwrite(file, os.urandom(int(sys.argv[2])), 0)
    os.fsync(file)
"""


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to keep memories.

    Attributes:
        key: Short name for figures.
        name: Shown in tables.
        args: Of the Valkey server.
        snapshots: Whether it is killed after several seconds, so that there are snapshots to come back to.
        busy: Whether another process keeps the disk busy meanwhile.
    """

    key: str
    name: str
    args: Sequence[str] = ()
    snapshots: bool = False
    busy: bool = False


def modes(snapshot_seconds: int) -> tuple[Mode, ...]:
    """Return all ways of a Valkey server.

    Args:
        snapshot_seconds: Time between two snapshots, in the modes that have them.
    """
    save = ("--save", f"{snapshot_seconds} 1")
    return (
        Mode("none", "nothing"),
        Mode("rdb", f"RDB, `save {snapshot_seconds} 1`", save, snapshots=True),
        Mode("everysec", "AOF, `appendfsync everysec`", (*LOG, "everysec")),
        Mode("busy", "AOF, `appendfsync everysec`, disk busy", (*LOG, "everysec"), busy=True),
        Mode("both", f"AOF, `appendfsync everysec`, and RDB, `save {snapshot_seconds} 1`",
             (*LOG, "everysec", *save), snapshots=True),
        Mode("always", "AOF, `appendfsync always`", (*LOG, "always")),
    )  # fmt: skip


async def up(server: ValkeyServer) -> float:
    """Start a server; return the seconds until it had loaded its data.

    Raises:
        RuntimeError: It ended, or did not load them in time.
    """
    begun = asyncio.get_running_loop().time()
    server.launch()
    while True:
        try:
            await asyncio.to_thread(server.wait_ready)
        except RuntimeError as error:
            waited = asyncio.get_running_loop().time() - begun
            if "did not get ready" not in str(error) or waited > START_SECONDS:
                raise
        else:
            return asyncio.get_running_loop().time() - begun


async def valkey_store(settings: ValkeySettings) -> ValkeyStore:
    """Return a store on a server."""
    return await ValkeyStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)


async def sqlite_store(file: Path, synchronous: str) -> MemoryStore:
    """Return a store on a file."""
    settings = SqliteSettings.model_validate({"path": str(file), "synchronous": synchronous})
    return await SqliteStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)


@asynccontextmanager
async def kept_busy(busy: bool) -> AsyncIterator[None]:
    """Have another process write and sync the disk without a pause while the body runs."""
    if not busy:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _BUSY, str(Path(folder) / "busy"), str(BUSY_BLOCK), cwd=ROOT
        )
        try:
            yield
        finally:
            process.kill()
            await process.wait()
