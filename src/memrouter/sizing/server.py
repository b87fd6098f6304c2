"""What a running Valkey says of itself, as far as sizes depend on it."""

from collections.abc import Mapping
from dataclasses import dataclass

from memrouter.errors import StoreUnavailable
from memrouter.sizing.allocators import Allocator
from memrouter.sizing.keyspace import LISTPACK_VALUE, Keyspace
from memrouter.sizing.search_index import SearchModule
from memrouter.sizing.valkey import ServerKind
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.errors import ServerRefused
from memrouter.stores.valkey.index_info import as_mapping
from memrouter.stores.valkey.server import ServerFacts, dotted


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        name: Product, version and Search module, for people.
        kind: How it keeps things.
        room: How many bytes more it may take; an estimate where it has no ``maxmemory``.
        limited: Whether ``maxmemory`` says so.
    """

    name: str
    kind: ServerKind
    room: int
    limited: bool


async def look_at(connection: Connection) -> Server:
    """Return what a server says of itself.

    Raises:
        StoreUnavailable: It cannot be reached, memrouter cannot work with it, or it is a cluster.
    """
    if connection.cluster:
        raise StoreUnavailable("a cluster's nodes share the memories: measure on a server of its own")
    facts = await ServerFacts.ask(connection)
    problems = facts.problems(cluster=False)
    if problems:
        raise StoreUnavailable(f"Valkey at {connection.place}: {'; '.join(problems)}")
    memory = await info(connection, "memory")
    module = SearchModule.REDISEARCH if facts.search == "RediSearch" else SearchModule.VALKEY_SEARCH
    keyspace = Keyspace(Allocator.named(memory.get("mem_allocator", "")), await _listpack_value(connection))
    version = "" if facts.version is None else f" {dotted(facts.version)}"
    module_version = "" if facts.search_version is None else f" {dotted(facts.search_version)}"
    allocator = memory.get("mem_allocator", "allocator unknown")
    return Server(
        name=f"{facts.product}{version} with {module}{module_version}, {allocator}",
        kind=ServerKind(module, keyspace),
        room=_room(memory),
        limited=number(memory, "maxmemory") > 0,
    )


async def info(connection: Connection, section: str) -> dict[str, str]:
    """Return a section of INFO by name."""
    reply = await connection.run(["INFO", section])
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def number(values: Mapping[str, str], name: str) -> int:
    """Return a value as a number; 0 where it is none."""
    text = values.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() else 0


def _room(memory: Mapping[str, str]) -> int:
    """Return what is left of ``maxmemory``; without one, half of what the machine has beyond the server's share."""
    limit, used = number(memory, "maxmemory"), number(memory, "used_memory")
    if limit:
        return max(0, limit - used)
    return max(0, number(memory, "total_system_memory") - max(used, number(memory, "used_memory_rss"))) // 2


async def _listpack_value(connection: Connection) -> int:
    """Return ``hash-max-listpack-value``, the default where the user may not ask for it."""
    try:
        reply = as_mapping(await connection.run(["CONFIG", "GET", "hash-max-listpack-value"]))
    except ServerRefused:
        return LISTPACK_VALUE
    value = reply.get("hash-max-listpack-value", b"")
    return int(value) if isinstance(value, bytes) and value.isdigit() else LISTPACK_VALUE
