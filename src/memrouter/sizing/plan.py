"""From what memories take to what to give a server: maxmemory, and requests and limits of its pods. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from memrouter.sizing.workload import MAX_MEMORIES, Workload

HEAD_ROOM: Final = 1.25
"""``maxmemory`` over the estimate: contents that turn out larger, lists that come with use, and time to act."""

FRAGMENTATION: Final = 1.1
"""Resident memory over ``used_memory``: what the allocator cannot give back. INFO calls it mem_fragmentation_ratio."""

COPY_ON_WRITE: Final = 0.25
"""Share of the data whose pages are written to, and so kept twice, while a snapshot or an AOF rewrite runs."""

OUTSIDE_BYTES: Final = 64 << 20
"""Code, threads, client and replication buffers: what ``used_memory`` and ``maxmemory`` leave out."""

_STEP: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """What to give each server.

    Attributes:
        maxmemory: For the server's configuration, with ``maxmemory-policy noeviction``.
        copy_on_write: What a snapshot or an AOF rewrite may take on top.
        request: ``resources.requests.memory`` of its pod: all but ``copy_on_write``.
        limit: ``resources.limits.memory``: all.
        pods: How many of them, replicas included.
    """

    maxmemory: int
    copy_on_write: int
    request: int
    limit: int
    pods: int

    @property
    def cluster_bytes(self) -> int:
        """Return the limits of all pods together."""
        return self.limit * self.pods


def server_plan(used: int, *, replicas: int = 0) -> ServerPlan:
    """Return what to give servers each of which uses this many bytes."""
    maxmemory = _up(used * HEAD_ROOM)
    request = _up(maxmemory * FRAGMENTATION + OUTSIDE_BYTES)
    copied = _up(used * COPY_ON_WRITE)
    return ServerPlan(
        maxmemory=maxmemory, copy_on_write=copied, request=request, limit=request + copied, pods=1 + replicas
    )


def memory_limit(resident: int) -> int:
    """Return ``resources.limits.memory`` for a process of this resident size that makes no snapshots of itself."""
    return _up(resident * HEAD_ROOM)


def largest(limit: int, workload: Workload, cost: Callable[[Workload], int]) -> int:
    """Return the greatest number of memories whose cost is at most ``limit``; 0 where one is too much.

    Args:
        limit: In the unit of ``cost``.
        workload: What they are like. Where it leaves the number of users open, they grow with the memories.
        cost: Never falls while memories grow.
    """
    low, high = 0, MAX_MEMORIES
    while low < high:
        middle = (low + high + 1) // 2
        fits = cost(replace(workload, memories=middle, users=min(workload.users, middle))) <= limit
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _up(size: float) -> int:
    """Return the next multiple of 64 MiB."""
    return math.ceil(size / _STEP) * _STEP
