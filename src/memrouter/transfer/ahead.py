"""Reading on while what was read is dealt with."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def ahead(items: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Yield what ``items`` does, in its order; while one is dealt with, the next one is being made.

    An error comes behind everything that was made before it. Who may stop early closes it: then nothing goes on.
    """
    following = asyncio.ensure_future(_next(items))
    try:
        while found := await following:
            following = asyncio.ensure_future(_next(items))
            yield found[0]
    finally:
        following.cancel()
        await asyncio.wait([following])
        if not following.cancelled():
            following.exception()  # seen, or of nobody's interest any more


async def _next(items: AsyncIterator[T]) -> tuple[T] | None:
    """Return the next item; None behind the last one."""
    async for item in items:
        return (item,)
    return None
