"""Whether the server's memory suffices, and what happens when it does not. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from memrouter.doctor.address import ServerAddress
from memrouter.doctor.findings import Finding, broken, ok, warning
from memrouter.sizing.valkey import ServerKind, valkey_size
from memrouter.sizing.workload import LINKS, Workload

BASE_BYTES: Final = 16 * 1024 * 1024
"""An empty server with all the modules of valkey-bundle, and room for what is small."""

REFERENCE: Final = 100_000
"""How many memories the size of one is told for: with few, what the index takes in advance would weigh too much."""

TIGHT_SHARE: Final = 0.8
"""Share of maxmemory from which room is short."""

FAR_OFF: Final = 2.0
"""How many times the formula's result the server may use before something else must be in it."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """What decides how large one memory is.

    Attributes:
        dimension: Length of the vectors.
        graph_links: ``index_m`` of an HNSW index; 0 for a flat one.
        text_index: Whether ``content`` is indexed as words.
        kind: How the server keeps things.
    """

    dimension: int
    graph_links: int = 0
    text_index: bool = False
    kind: ServerKind = field(default_factory=ServerKind)

    @property
    def memory_bytes(self) -> int:
        """Return the estimate for one memory: the HASH with its vector, and the index with its copy of it."""
        return self._data(REFERENCE) // REFERENCE

    def total_bytes(self, memories: int) -> int:
        """Return the estimate for a server with this many memories."""
        return BASE_BYTES + (self._data(memories) if memories > 0 else 0)

    def _data(self, memories: int) -> int:
        links = min(max(self.graph_links, LINKS[0]), LINKS[1]) if self.graph_links else 0
        workload = Workload(memories, self.dimension, graph_links=links, text_index=self.text_index)
        return valkey_size(workload, self.kind).data


def policy_findings(info: Mapping[str, str], address: ServerAddress) -> Iterator[Finding]:
    """Yield whether the server may throw memories away, and whether it is full; ``info`` is ``INFO memory``."""
    policy, limit, used = info.get("maxmemory_policy"), _number(info, "maxmemory"), _number(info, "used_memory")
    if policy is None:
        return
    if policy == "noeviction":
        yield ok("eviction policy", "noeviction: a full server refuses writes and keeps what it has")
    else:
        yield _evicting(policy, limit, address)
    if limit:
        yield _room(used, limit, address)
    else:
        total = _number(info, "total_system_memory")
        advice = address.admin_cli(
            "CONFIG", "SET", "maxmemory", _readable_setting(total * 3 // 4 if total else 1 << 30)
        )
        yield ok(
            "maxmemory",
            "0: no limit, so the system's memory is the limit and the kernel may kill the server",
            fix=f"advice: set a limit below the machine's memory: {advice}",
        )


def sizing_findings(info: Mapping[str, str], memories: int, sizing: Sizing) -> Iterator[Finding]:
    """Yield the server's use of memory beside the formula, and the room that is left; ``info`` is ``INFO memory``."""
    used, limit = _number(info, "used_memory"), _number(info, "maxmemory")
    if not used:
        return
    expected = sizing.total_bytes(memories)
    seen = (
        f"{_readable(used)} used; {memories} memories of about {sizing.memory_bytes} bytes each (fields, content, "
        f"vector and index of dimension {sizing.dimension}) make about {_readable(expected)}"
    )
    if limit:
        seen += f"; room for about {max(0, limit - used) // sizing.memory_bytes} more"
    if used > FAR_OFF * expected:
        yield warning(
            "memory use",
            seen,
            why="something else lives in this server or memories are far larger than usual: plan with the real figure",
            fix="see what takes the room: valkey-cli --bigkeys; and the index: valkey-cli FT.INFO INDEX",
        )
    else:
        yield ok("memory use", seen)


def _evicting(policy: str, limit: int, address: ServerAddress) -> Finding:
    victims = "any memory" if policy.startswith("allkeys") else "keys with an expiry"
    when = "when maxmemory is reached" if limit else "as soon as a maxmemory is set and reached"
    return warning(
        "eviction policy",
        f"{policy}: {when}, the server deletes {victims} without a word",
        why="anything but noeviction can silently evict memories or the records that belong to them",
        fix=f"{address.admin_cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')}; to keep it over restarts, start "
        "the server with --maxmemory-policy noeviction",
    )


def _room(used: int, limit: int, address: ServerAddress) -> Finding:
    share = f"{_readable(used)} of {_readable(limit)} used ({100 * used // limit} %)"
    fix = (
        f"raise the limit: {address.admin_cli('CONFIG', 'SET', 'maxmemory', _readable_setting(2 * limit))}; or lower "
        "quality_scoring.max_memories_per_user and keep consolidation on"
    )
    if used >= limit:
        why = "the server refuses writes (OOM command not allowed): nothing new is remembered"
        return broken("maxmemory", f"out of memory: {share}", why=why, fix=fix)
    if used >= TIGHT_SHARE * limit:
        why = "at 100 % the server refuses writes (OOM) and nothing new is remembered"
        return warning("maxmemory", share, why=why, fix=fix)
    return ok("maxmemory", share)


def _number(info: Mapping[str, str], name: str) -> int:
    text = info.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _readable(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.1f} MiB"


def _readable_setting(size: int) -> str:
    return f"{max(1, size >> 20)}mb"
