"""Fills a scratch prefix and a scratch index on a real server, reads its figures, and cleans up after itself."""

import asyncio
import math
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from memrouter.config.memory import ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.sizing.quantity import shown
from memrouter.sizing.samples import sample_batches
from memrouter.sizing.server import Server, info, look_at, number
from memrouter.sizing.valkey import SERVER_BYTES, ValkeySize, valkey_size
from memrouter.sizing.workload import Workload
from memrouter.stores.query import MergeMode
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.errors import ServerRefused
from memrouter.stores.valkey.index_info import as_mapping
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.store import ValkeyStore

SAFETY: Final = 1.25
"""How much more than the formula says must be free."""

_GRAPH_SECONDS: Final = 60
"""For a command where there is a graph: a large one takes seconds for a batch."""

_SAMPLED: Final = 200
_POLL_SECONDS: Final = 0.25
_STEADY: Final = 1e-3
_POLLS: Final = 120
_FULL: Final = 0.95
_SIZE: Final = re.compile(r"_mb$|_bytes$|memory")
_PREFIXES: Final = ("scratch-size", "measure-size")
_PART: Final = 500


@dataclass(frozen=True, slots=True)
class Measured:
    """What a server said.

    Attributes:
        server: The server.
        size: The formula for this server.
        used: Growth of ``used_memory``, the empty index included.
        hash_bytes: Mean of MEMORY USAGE over some hundred memories.
        aof: Growth of the append-only file; None where it is off or was rewritten meanwhile.
        index: Figures of FT.INFO, as the server names them.
    """

    server: Server
    size: ValkeySize
    used: int
    hash_bytes: float
    aof: int | None
    index: Mapping[str, float]

    @property
    def expected(self) -> int:
        """Return what the formula says for ``used``."""
        return self.size.total - SERVER_BYTES

    @property
    def off(self) -> float:
        """Return by what share of ``used`` the formula is too high (positive) or too low (negative)."""
        return self.expected / self.used - 1 if self.used > 0 else float("inf")


async def measure(
    settings: ValkeySettings, workload: Workload, *, rng: random.Random, on_progress: Callable[[int], None]
) -> Measured:
    """Return what memories take on a server, beside the formula. Whatever happens, nothing of it stays there.

    Args:
        settings: Where the server is. Its prefix and index are left alone.
        workload: What to fill in.
        rng: Names the scratch keys and makes the memories.
        on_progress: Is told how many memories were added.

    Raises:
        StoreUnavailable: The server cannot be reached, is a cluster or not fit, has no room, or has an index that
            would take the scratch keys in.
    """
    async with _connected(settings) as connection:
        server = await look_at(connection)
        _require_room(server, valkey_size(workload, server.kind))
        scratch = await _scratch(connection, settings, workload, rng)
    async with _connected(scratch) as connection, _cleaned(connection, scratch):
        return await _filled(connection, scratch, workload, server=server, rng=rng, on_progress=on_progress)


@asynccontextmanager
async def _connected(settings: ValkeySettings) -> AsyncIterator[Connection]:
    connection = await Connection.open(settings)
    try:
        yield connection
    finally:
        await connection.aclose()


def _require_room(server: Server, size: ValkeySize) -> None:
    needed = round(SAFETY * size.data)
    if needed > server.room:
        why = "below its maxmemory" if server.limited else "that half of the machine's free memory gives"
        raise StoreUnavailable(
            f"measuring would take {shown(needed)} of the server's memory, more than the {shown(server.room)} {why}; "
            "measure fewer memories (--memories), or another server"
        )


async def _scratch(
    connection: Connection, settings: ValkeySettings, workload: Workload, rng: random.Random
) -> ValkeySettings:
    """Return settings for keys and an index that nobody else has, and that fall into nobody else's index."""
    name = f"{rng.getrandbits(48):012x}"
    taken = [settings.collection_prefix, *await _indexed_prefixes(connection)]
    free = [f"{word}-{name}:" for word in _PREFIXES if not any(f"{word}-{name}:".startswith(one) for one in taken)]
    if not free:
        raise StoreUnavailable(
            "a search index of this server takes in every key, so it would take in the scratch memories too; "
            "measure on another server"
        )
    return settings.model_copy(
        update={
            "timeout": max(settings.timeout, _GRAPH_SECONDS) if workload.graph_links else settings.timeout,
            "collection_prefix": free[0],
            "index_name": f"scratch_size_{name}",
            "index_algorithm": "hnsw" if workload.graph_links else "flat",
            "index_m": workload.graph_links or settings.index_m,
            "text_index": workload.text_index,
            "dimension": workload.dimension,
        }
    )


async def _indexed_prefixes(connection: Connection) -> list[str]:
    """Return what the keys of the server's indexes begin with."""
    prefixes: list[str] = []
    for name in await connection.run(["FT._LIST"]):
        definition = as_mapping(as_mapping(await connection.run(["FT.INFO", name])).get("index_definition"))
        prefixes += [prefix.decode(errors="replace") for prefix in definition.get("prefixes") or [b""]]
    return prefixes


@asynccontextmanager
async def _cleaned(connection: Connection, scratch: ValkeySettings) -> AsyncIterator[None]:
    """Remove the scratch index and keys at the end, however it comes."""
    try:
        yield
    finally:
        await asyncio.shield(asyncio.ensure_future(_remove(connection, scratch)))


async def _remove(connection: Connection, scratch: ValkeySettings) -> None:
    prefix = scratch.collection_prefix
    try:
        try:
            await connection.run(["FT.DROPINDEX", scratch.index_name])
        except ServerRefused as error:
            if not error.index_missing:
                raise
        async for keys in connection.scan(f"*{prefix}*", kind=None):
            own = [key for key in keys if key.removeprefix(b"~").startswith(prefix.encode())]
            for first in range(0, len(own), _PART):
                await connection.run(["UNLINK", *own[first : first + _PART]])
    except StoreUnavailable as error:
        raise StoreUnavailable(
            f"{error}; the scratch memories may still be there: drop the index {scratch.index_name} with FT.DROPINDEX "
            f"and remove the keys that begin with {prefix} and ~{prefix}"
        ) from None


async def _filled(
    connection: Connection,
    scratch: ValkeySettings,
    workload: Workload,
    *,
    server: Server,
    rng: random.Random,
    on_progress: Callable[[int], None],
) -> Measured:
    before = await _figures(connection)
    names = await _fill(connection, scratch, workload, rng=rng, on_progress=on_progress)
    index = await _indexed(connection, scratch, workload.memories)
    after = await _settled(connection)
    sizes = [await connection.run(["MEMORY", "USAGE", name, "SAMPLES", 0]) for name in names]
    appended = None if before.aof is None or after.aof is None else after.aof - before.aof
    return Measured(
        server=server,
        size=valkey_size(replace(workload, prefix=scratch.collection_prefix), server.kind),
        used=after.used - before.used,
        hash_bytes=sum(sizes) / len(sizes),
        aof=appended if appended and appended > 0 else None,
        index=index,
    )


async def _fill(
    connection: Connection,
    scratch: ValkeySettings,
    workload: Workload,
    *,
    rng: random.Random,
    on_progress: Callable[[int], None],
) -> list[str]:
    """Add the memories; return the keys of some.

    Raises:
        StoreUnavailable: The server's memory runs short meanwhile, by whatever else it does.
    """
    model = workload.typical.embedding_model
    store = await ValkeyStore.open(scratch, dimension=workload.dimension, embedding_model=model)
    keys, names = Keys(scratch.collection_prefix), list[str]()
    try:
        for batch in sample_batches(workload, rng):
            await store.merge(batch, mode=MergeMode.SKIP)
            wanted = math.ceil(len(batch) * min(1.0, _SAMPLED / workload.memories))
            names += [keys.of_user(record.user_id).memory(record.id) for record in rng.sample(batch, wanted)]
            on_progress(len(batch))
            memory = await info(connection, "memory")
            limit = number(memory, "maxmemory")
            if limit and number(memory, "used_memory") > _FULL * limit:
                raise StoreUnavailable("the server's memory runs short (95 % of its maxmemory): measuring was given up")
    finally:
        await store.aclose()
    return names


@dataclass(frozen=True, slots=True)
class _Figures:
    used: int
    aof: int | None


async def _figures(connection: Connection) -> _Figures:
    """Return memory in use and the size of the append-only file, None where it is off."""
    used = number(await info(connection, "memory"), "used_memory")
    persistence = await info(connection, "persistence")
    return _Figures(used, number(persistence, "aof_current_size") if number(persistence, "aof_enabled") else None)


async def _settled(connection: Connection) -> _Figures:
    """Return the figures once they stand still: buffers are given back a moment after their last use."""
    last = await _figures(connection)
    for _ in range(_POLLS):
        await asyncio.sleep(_POLL_SECONDS)
        now = await _figures(connection)
        if abs(now.used - last.used) <= _STEADY * now.used:
            return now
        last = now
    return last


async def _indexed(connection: Connection, scratch: ValkeySettings, memories: int) -> dict[str, float]:
    """Wait until the index holds all memories, and return its sizes as the server names them.

    Raises:
        StoreUnavailable: It does not in time.
    """
    for _ in range(_POLLS):
        said = as_mapping(await connection.run(["FT.INFO", scratch.index_name]))
        if _float(said.get("num_docs")) >= memories:
            return {name: _float(value) for name, value in said.items() if _SIZE.search(name)}
        await asyncio.sleep(_POLL_SECONDS)
    raise StoreUnavailable("the search index did not take in all memories within 30 s; measure fewer (--memories)")


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
