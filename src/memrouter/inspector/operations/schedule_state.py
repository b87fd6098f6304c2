"""When upkeep ran last in the fleet, when it is due, and whether a router is at it."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from memrouter.config.memory import MemorySettings
from memrouter.jobs.schedule import SPACE, Note
from memrouter.stores.state import LEASES, StateEntry, StateStore


@dataclass(frozen=True, slots=True)
class TaskState:
    """One task of the whole fleet.

    Attributes:
        name: ``prune`` or ``consolidate``.
        interval: Seconds from the end of one run to the begin of the next.
        ended_at: When the last run ended, or the task was first seen, in milliseconds since the epoch; None before.
        due_at: When the next one may begin; None before the task was first seen.
        halfway: Whether the last run stopped on its way and goes on there.
        holder: Some router that does it now; empty for none.
        lease_until: Until when it holds the lease; None for none.
    """

    name: str
    interval: float
    ended_at: int | None
    due_at: int | None
    halfway: bool
    holder: str
    lease_until: int | None


async def task_states(state: StateStore, memory: MemorySettings, *, now: int) -> Sequence[TaskState]:
    """Return the tasks that the configuration asks for.

    Raises:
        StoreUnavailable: The store cannot be asked.
    """
    intervals = {"prune": memory.retention.interval}
    if memory.consolidation.enabled:
        intervals["consolidate"] = memory.consolidation.interval
    return [
        _state(name, interval, await state.get(SPACE, name, now=now), await state.get(LEASES, name, now=now))
        for name, interval in intervals.items()
    ]


def _state(name: str, interval: float, noted: StateEntry | None, lease: StateEntry | None) -> TaskState:
    note = None if noted is None else _note(noted.value)
    return TaskState(
        name=name,
        interval=interval,
        ended_at=None if note is None else note.ended_at,
        due_at=None if note is None else note.ended_at + round(interval * 1000),
        halfway=note is not None and note.position is not None,
        holder="" if lease is None else lease.value.decode(errors="replace"),
        lease_until=None if lease is None else lease.expires_at,
    )


def _note(value: bytes) -> Note | None:
    try:
        return msgspec.json.decode(value, type=Note)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None  # written by a later version
