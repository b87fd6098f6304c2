"""A worker's side of the conversation with its supervisor."""

import asyncio
import contextlib
import itertools
import mmap
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from memrouter.cli.workers.frames import Frame, receive, send

VARIABLE: Final = "MEMROUTER_WORKER"
"""Names, in the environment of a worker, its number and what it inherits; not for users."""
ANSWER_SECONDS: Final = 5.0
"""Longest that the supervisor may take to gather the metrics of all workers."""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a worker is given by its supervisor.

    Attributes:
        number: Of the worker, from 1.
        control: File descriptor of the conversation.
        limits: File descriptor of the memory in which callers are counted.
        listeners: File descriptors of the listening sockets, in the order of the configuration.
    """

    number: int
    control: int
    limits: int
    listeners: tuple[int, ...]

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Self | None:
        """Return what this process was given; None where it is no worker."""
        text = env.get(VARIABLE, "")
        if not text:
            return None
        number, control, limits, *listeners = map(int, text.split(":"))
        return cls(number, control, limits, tuple(listeners))

    def variable(self) -> str:
        """Return the value of the environment variable."""
        return ":".join(map(str, (self.number, self.control, self.limits, *self.listeners)))

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Return everything that has to stay open when the worker is started."""
        return self.control, self.limits, *self.listeners

    def sockets(self) -> list[socket.socket]:
        """Return the listening sockets; to be called once."""
        return [socket.socket(fileno=descriptor) for descriptor in self.listeners]

    def shared_memory(self) -> mmap.mmap:
        """Return the memory in which all workers count callers."""
        return mmap.mmap(self.limits, os.fstat(self.limits).st_size)


class SupervisorLink:
    """Tells the supervisor what it asks for, and asks it for what the other workers know.

    Args:
        reader: From the supervisor.
        writer: To it.
        own_metrics: Gives this worker's metrics; called in a thread.
        on_lost: Called once, when the supervisor has gone: nobody would ever stop this worker.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        own_metrics: Callable[[], bytes],
        on_lost: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._own_metrics = own_metrics
        self._on_lost = on_lost
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._task = asyncio.create_task(self._listen())

    @classmethod
    async def open(
        cls, inherited: Inheritance, *, own_metrics: Callable[[], bytes], on_lost: Callable[[], None]
    ) -> Self:
        """Return the link over the socket that the supervisor has left open."""
        reader, writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=inherited.control))
        return cls(reader, writer, own_metrics=own_metrics, on_lost=on_lost)

    def ready(self) -> None:
        """Tell the supervisor that this worker answers requests."""
        send(self._writer, Frame("ready"))

    async def all_metrics(self) -> bytes:
        """Return the metrics of all workers; only this worker's own where the supervisor does not answer in time."""
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            send(self._writer, Frame("ask_all", number))
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        except TimeoutError:
            return await asyncio.to_thread(self._own_metrics)
        finally:
            del self._waiting[number]

    async def aclose(self) -> None:
        """End the conversation."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._writer.close()

    async def _listen(self) -> None:
        while (frame := await receive(self._reader)) is not None:
            if frame.kind == "ask_own":
                send(self._writer, Frame("own", frame.number, await asyncio.to_thread(self._own_metrics)))
            elif frame.kind == "all" and (answer := self._waiting.get(frame.number)) and not answer.done():
                answer.set_result(frame.body)
        self._on_lost()
