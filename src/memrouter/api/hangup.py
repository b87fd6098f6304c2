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
        self._working: asyncio.Task[Any] | None = None
        self._stopped = False
        self._watch = asyncio.ensure_future(self._wait(receive))
        self._watch.add_done_callback(self._gone)

    @staticmethod
    async def _wait(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what ``work`` returns; cancel it when the client hangs up or this call is cancelled.

        The work is done in the caller's own task, which costs a tenth of another one; as ``asyncio.timeout`` does, a
        cancellation that this object asked for is told from one that came from outside.

        Raises:
            ClientGone: The client hung up first.
        """
        if self._watch.done():
            work.close()
            raise ClientGone
        task = asyncio.current_task()
        cancelled_before = 0 if task is None else task.cancelling()
        self._working, self._stopped = task, False
        try:
            return await work
        except asyncio.CancelledError as error:
            if task is not None and self._stopped and task.uncancel() <= cancelled_before:
                self._stopped = False
                raise ClientGone from error
            raise
        finally:
            self._working = None
            if self._stopped and task is not None:  # the work ended all the same
                self._stopped = False
                task.uncancel()

    def release(self) -> None:
        """Stop watching."""
        self._watch.cancel()

    def _gone(self, watch: "asyncio.Task[None]") -> None:
        if not watch.cancelled() and self._working is not None:
            self._stopped = True
            self._working.cancel()
