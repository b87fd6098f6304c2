"""What a process and its children take of the machine, from Linux's ``/proc``."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_UTIME, _STIME = 11, 12
"""Places in ``stat`` behind the name of the program."""
LOOK_SECONDS, QUIET_SECONDS = 0.01, 0.1


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and its children have used so far; resolution 10 ms."""
    ticks = 0
    for member in _family(pid):
        fields = Path(f"/proc/{member}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks += int(fields[_UTIME]) + int(fields[_STIME])
    return ticks / _TICKS


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process and its children; pages that they share count for each."""
    return sum(
        int(Path(f"/proc/{member}/statm").read_text(encoding="ascii").split()[1]) * _PAGE for member in _family(pid)
    )


async def settled(pid: int, *, most_seconds: float = 10.0) -> float:
    """Wait until a process is idle, so that what it left for later does not slow what is measured next.

    Returns:
        Since when it has been idle, by ``time.perf_counter``; to some 20 ms.
    """
    begun = idle_since = time.perf_counter()
    used = cpu_seconds(pid)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now, before = time.perf_counter(), used
        used = cpu_seconds(pid)
        if used > before:
            idle_since = now
        if now - idle_since >= QUIET_SECONDS or now - begun >= most_seconds:
            return idle_since


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            yield from _family(int(child))
