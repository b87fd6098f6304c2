"""Work on bodies that takes so long that the event loop must not wait for it."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from memrouter.api.body import THREAD_FROM_BYTES

P = ParamSpec("P")
T = TypeVar("T")


async def off_loop(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``work`` returns; it is done in a thread where the ``size`` bytes it works on are many."""
    return work(*args, **kwargs) if size < THREAD_FROM_BYTES else await asyncio.to_thread(work, *args, **kwargs)
