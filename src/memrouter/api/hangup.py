"""Notice a client that goes away, and stop the work done for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientGone(Exception):
    """The client closed the connection before its answer was complete."""


class Hangup:
    """Watches one request's connection, whose body has been read, until the answer is complete.

    Args:
        receive: The request's ASGI receive channel; nobody else may read from it any more.
    """

    def __init__(self, receive: Receive) -> None:
        self._watch = asyncio.ensure_future(self._wait(receive))

    @staticmethod
    async def _wait(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what ``work`` returns; cancel it when the client hangs up or this call is cancelled.

        Raises:
            ClientGone: The client hung up first.
        """
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait((task, self._watch), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
        if task.cancelled():
            raise ClientGone
        return task.result()

    def release(self) -> None:
        """Stop watching."""
        self._watch.cancel()
