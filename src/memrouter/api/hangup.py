"""Notice a client that goes away, and stop the work done for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from starlette.types import Receive

T = TypeVar("T")

WATCHED_FROM_SECONDS: Final = 0.05
"""When the watch begins by itself. It takes a task, which costs as much as choosing the model; so an answer that comes
whole is over before it, and a stream has sent its first piece."""


class ClientGone(Exception):
    """The client closed the connection before its answer was complete."""


class Hangup:
    """Watches one request's connection, whose body has been read, until the answer is complete.

    A client that goes away at once is noticed after ``WATCHED_FROM_SECONDS`` or when ``watch`` is called, any other one
    as it goes.

    Args:
        receive: The request's ASGI receive channel; nobody else may read from it any more.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._working: asyncio.Task[Any] | None = None
        self._stopped = False
        self._watch: asyncio.Task[None] | None = None
        self._begin = asyncio.get_running_loop().call_later(WATCHED_FROM_SECONDS, self.watch)

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what ``work`` returns; cancel it when the client hangs up or this call is cancelled.

        The work is done in the caller's own task, which costs a tenth of another one; as ``asyncio.timeout`` does, a
        cancellation that this object asked for is told from one that came from outside.

        Raises:
            ClientGone: The client hung up first.
        """
        if self._watch is not None and self._watch.done():
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

    def watch(self) -> None:
        """Watch from now on; calling it again does nothing."""
        if self._watch is None:
            self._begin.cancel()
            self._watch = asyncio.ensure_future(self._wait())
            self._watch.add_done_callback(self._gone)

    def release(self) -> None:
        """Stop watching."""
        self._begin.cancel()
        if self._watch is not None:
            self._watch.cancel()

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _gone(self, watch: "asyncio.Task[None]") -> None:
        if not watch.cancelled() and self._working is not None:
            self._stopped = True
            self._working.cancel()
