"""Starts the workers, replaces those that die, passes signals on, and gathers their metrics."""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final

from memrouter.api.caller_times import SHARED_BYTES
from memrouter.cli.workers.frames import Frame, receive, send
from memrouter.cli.workers.link import VARIABLE, Inheritance
from memrouter.observability.joined_metrics import joined

logger = logging.getLogger(__name__)

LEAST_PAUSE_SECONDS: Final = 0.2
"""Pause before a worker that died is replaced; twice as long each further time, up to ``MOST_PAUSE_SECONDS``."""
MOST_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""A worker that lived so long is replaced with the least pause again."""
GATHER_SECONDS: Final = 2.0
"""Longest that a worker may take to tell its metrics."""
GRACE_SECONDS: Final = 10.0
"""How much longer than the shutdown a worker may take before it is killed."""


def worker_command(arguments: Sequence[str]) -> list[str]:
    """Return what starts a worker with ``arguments``; no module is taken from the working directory."""
    return [sys.executable, "-P", "-m", "memrouter", *arguments]


class Supervisor:
    """Looks after the workers of one router.

    All workers accept connections on the same sockets, so a worker that is busy or dead takes none from the others.
    The first one is started alone: what is wrong with the configuration or the store is said once, and a new store is
    made once.

    Args:
        command: What starts a worker.
        workers: How many.
        listeners: The listening sockets; stay open while any worker may be replaced.
        shutdown_seconds: How long a worker may take to end.
        env: Environment of the workers.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        workers: int,
        listeners: Sequence[socket.socket],
        shutdown_seconds: float,
        env: Mapping[str, str],
    ) -> None:
        self._command = tuple(command)
        self._numbers = range(1, workers + 1)
        self._listeners = tuple(each.fileno() for each in listeners)
        self._shutdown_seconds = shutdown_seconds
        self._env = dict(env)
        self._workers: dict[int, _Worker] = {}
        self._asked = itertools.count(1)
        self._stopping = asyncio.Event()
        self._limits = -1
        self._failure = 0

    async def run(self) -> int:
        """Serve until a signal comes; return the exit status: that of a worker that could not start, else 0."""
        with _shared_memory() as self._limits, self._signals():
            first = await self._start(1)
            if await first.came_up():
                others = await asyncio.gather(*(self._start(number) for number in self._numbers[1:]))
                await asyncio.gather(*map(self._expect, others))
            else:
                await self._expect(first)
            keepers = [asyncio.create_task(self._keep(*each)) for each in self._workers.items()]
            await self._stopping.wait()
            await self._end(keepers)
        return self._failure

    async def _expect(self, worker: "_Worker") -> None:
        """Wait until a worker answers requests; one that cannot ends everything, and has said why."""
        if not await worker.came_up() and not self._stopping.is_set():
            self._failure = await worker.ended() or 1
            self._stop()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        """Let every worker finish; called again, at once."""
        self._stopping.set()
        for worker in self._workers.values():
            worker.terminate()

    async def _keep(self, number: int, worker: "_Worker") -> None:
        """Replace a worker each time that it ends, until all are to end."""
        loop, pause = asyncio.get_running_loop(), LEAST_PAUSE_SECONDS
        while True:
            begun = loop.time()
            status = await worker.ended()
            if loop.time() - begun > STEADY_SECONDS:
                pause = LEAST_PAUSE_SECONDS
            if self._stopping.is_set():
                return
            logger.error("worker %d ended with status %d; the next one starts in %.1f s", number, status, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
                return
            pause = min(MOST_PAUSE_SECONDS, 2 * pause)
            worker = await self._start(number)

    async def _start(self, number: int) -> "_Worker":
        ours, theirs = socket.socketpair()
        with contextlib.closing(theirs):
            inherited = Inheritance(number, theirs.fileno(), self._limits, self._listeners)
            process = await asyncio.create_subprocess_exec(
                *self._command,
                env={**self._env, VARIABLE: inherited.variable()},
                pass_fds=inherited.descriptors,
                process_group=0,  # Ctrl-C reaches the supervisor alone, which passes it on
            )
        worker = self._workers[number] = _Worker(process, *await asyncio.open_unix_connection(sock=ours))
        worker.listen(self._answer)
        if self._stopping.is_set():
            worker.terminate()
        return worker

    async def _answer(self, asker: "_Worker", frame: Frame) -> None:
        """Send a worker the metrics of all."""
        workers = dict(self._workers)
        texts = await asyncio.gather(*(worker.metrics(next(self._asked)) for worker in workers.values()))
        known = {str(number): text for number, text in zip(workers, texts, strict=True) if text is not None}
        up = "".join(f'memrouter_worker_up{{worker="{number}"}} {int(str(number) in known)}\n' for number in workers)
        header = "# HELP memrouter_worker_up Whether a worker process answers\n# TYPE memrouter_worker_up gauge\n"
        asker.send(Frame("all", frame.number, (header + up + joined(known)).encode()))

    async def _end(self, keepers: Sequence["asyncio.Task[None]"]) -> None:
        """Wait until all workers have ended; kill those that do not."""
        _, left = await asyncio.wait(keepers, timeout=self._shutdown_seconds + GRACE_SECONDS)
        for number, worker in self._workers.items():
            if left and worker.kill():
                logger.error("worker %d did not end in time and was killed", number)
        await asyncio.gather(*keepers, return_exceptions=True)


class _Worker:
    """One worker process, from its start to its end."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._ready = asyncio.Event()
        self._own: dict[int, asyncio.Future[str]] = {}
        self._tasks: set[asyncio.Future[None]] = set()
        self._listening: asyncio.Task[None] | None = None

    def listen(self, answer: Callable[["_Worker", Frame], Awaitable[None]]) -> None:
        """Begin to take what the worker says; ``answer`` is called when it asks for the metrics of all."""
        self._listening = asyncio.create_task(self._listen(answer))

    async def came_up(self) -> bool:
        """Return whether the worker answers requests; False where it ended before it did."""
        ready, ended = asyncio.create_task(self._ready.wait()), asyncio.create_task(self._process.wait())
        await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        ended.cancel()
        return self._ready.is_set()

    async def ended(self) -> int:
        """Return the exit status, below 0 for a signal, once the worker has ended."""
        status = await self._process.wait()
        if self._listening is not None:
            await asyncio.wait((self._listening,))
        self._writer.close()
        return status

    def send(self, frame: Frame) -> None:
        """Tell the worker something."""
        send(self._writer, frame)

    async def metrics(self, number: int) -> str | None:
        """Return the worker's own metrics; None where it does not tell them in time."""
        if not self._ready.is_set() or self._process.returncode is not None:
            return None
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._own[number] = answer
        try:
            self.send(Frame("ask_own", number))
            return await asyncio.wait_for(answer, GATHER_SECONDS)
        except TimeoutError:
            return None
        finally:
            del self._own[number]

    def terminate(self) -> None:
        """Ask the worker to end."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> bool:
        """End the worker at once; return whether it was still there."""
        there = self._process.returncode is None
        if there:
            self._process.kill()
        return there

    async def _listen(self, answer: Callable[["_Worker", Frame], Awaitable[None]]) -> None:
        while (frame := await receive(self._reader)) is not None:
            if frame.kind == "ready":
                self._ready.set()
            elif frame.kind == "own" and (waiting := self._own.get(frame.number)) and not waiting.done():
                waiting.set_result(frame.body.decode())
            elif frame.kind == "ask_all":
                task = asyncio.ensure_future(answer(self, frame))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)


@contextlib.contextmanager
def _shared_memory() -> Iterator[int]:
    """Yield the descriptor of memory in which the workers count callers."""
    descriptor = os.memfd_create("memrouter-limits") if hasattr(os, "memfd_create") else _unnamed_file()
    try:
        os.ftruncate(descriptor, 2 * SHARED_BYTES)
        yield descriptor
    finally:
        os.close(descriptor)


def _unnamed_file() -> int:
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
