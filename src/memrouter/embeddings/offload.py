"""Keeps work on long texts out of the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

INLINE_COST = 2_000
"""Characters, plus ``TEXT_COST`` a text, up to which work runs in the event loop: under 1 ms of tokenising."""
TEXT_COST = 50

T = TypeVar("T")


async def run_bounded(work: Callable[[Sequence[str]], T], texts: Sequence[str]) -> T:
    """Return ``work(texts)``, run at once where the texts are short in total and in a thread where not.

    Args:
        work: Thread-safe; its time must grow with the length of the texts.
        texts: What it works on.
    """
    return work(texts) if are_short(texts) else await asyncio.to_thread(work, texts)


def are_short(texts: Sequence[str]) -> bool:
    """Return whether work on these texts may run in the event loop."""
    return sum(map(len, texts)) + TEXT_COST * len(texts) <= INLINE_COST
