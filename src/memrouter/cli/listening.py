"""Answers on the listeners of a configuration until a signal comes."""

import asyncio
import contextlib
import gc
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, Protocol

import uvicorn
from fastapi import FastAPI

from memrouter.api.app import open_access
from memrouter.api.caller import Access
from memrouter.cli.joined_writes import JoiningProtocol
from memrouter.cli.sockets import bind
from memrouter.cli.workers.link import Inheritance, SupervisorLink
from memrouter.clock import SystemClock
from memrouter.config.settings import Listener, Settings
from memrouter.runtime import Runtime

KEEP_ALIVE_SECONDS: Final = 75
"""How long an idle connection stays open: longer than proxies and clients keep theirs (60 s at most, as a rule), or one
of them sends a request into a connection that is being closed."""
SWITCH_SECONDS: Final = 0.0005
"""How long a thread waits for the interpreter before it asks the one that runs to give way. By default ten times that:
a thread that reads from SQLite asks once a row, so under load every row would take 5 ms."""
YOUNG_OBJECTS: Final = 20_000
"""New objects between two looks of the garbage collector; by default 700, which is less than one request makes."""


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` to its end on the fastest event loop there is."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(work)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


class MakeApp(Protocol):
    """Makes what one listener serves."""

    def __call__(self, runtime: Runtime, listener: Listener, *, access: Access) -> FastAPI:
        """Return the application; see ``create_app``."""
        ...


async def serve_listeners(settings: Settings, make_app: MakeApp, *, inherited: Inheritance | None = None) -> None:
    """Open everything, answer until a signal comes, then close in the opposite order.

    Args:
        settings: The configuration.
        make_app: Makes what a listener serves.
        inherited: What a worker was given; None for the only process.

    Raises:
        ConfigError: Something cannot be built as configured, or an address cannot be had.
        StoreError: The memory store cannot be opened.
    """
    with contextlib.ExitStack() as bound:
        sockets = _sockets(settings, inherited)
        for each in sockets:
            bound.enter_context(contextlib.closing(each))
        runtime = await Runtime.open(settings, env=os.environ, clock=SystemClock(), rng=random.SystemRandom())
        try:
            shared = None if inherited is None else memoryview(inherited.shared_memory())
            access = open_access(runtime, shared_limits=shared)
            servers = [
                _Server(_uvicorn_config(runtime, make_app(runtime, listener, access=access)))
                for listener in settings.listeners
            ]
            with _stopping(servers, runtime) as stop:
                async with _linked(runtime, inherited, stop):
                    runtime.start_upkeep()
                    _settle()
                    await _serve(servers, sockets)
        finally:
            await runtime.aclose()


def _sockets(settings: Settings, inherited: Inheritance | None) -> list[socket.socket]:
    if inherited is not None:
        return inherited.sockets()
    with contextlib.ExitStack() as undo:
        sockets = [undo.enter_context(contextlib.closing(bind(listener))) for listener in settings.listeners]
        undo.pop_all()
    return sockets


async def _serve(servers: Sequence["_Server"], sockets: Sequence[socket.socket]) -> None:
    await asyncio.gather(
        *(server.serve(sockets=[listening]) for server, listening in zip(servers, sockets, strict=True))
    )


@contextlib.asynccontextmanager
async def _linked(runtime: Runtime, inherited: Inheritance | None, stop: Callable[[], None]) -> Any:
    """Keep up the conversation with the supervisor, where there is one."""
    if inherited is None:
        yield
        return
    link = await SupervisorLink.open(inherited, own_metrics=runtime.metrics.render, on_lost=stop)
    runtime.joined_metrics = link.all_metrics
    link.ready()
    try:
        yield
    finally:
        await link.aclose()


def _settle() -> None:
    """Tell the interpreter that what is there now stays, and how this process works."""
    gc.freeze()  # never looked at again
    gc.enable()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    sys.setswitchinterval(SWITCH_SECONDS)


class _Server(uvicorn.Server):
    """A server that leaves signals to us, since several may share one process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _uvicorn_config(runtime: Runtime, app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=JoiningProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(runtime.settings.global_.server.shutdown_seconds)),
    )


@contextlib.contextmanager
def _stopping(servers: list[_Server], runtime: Runtime) -> Iterator[Callable[[], None]]:
    """Let SIGTERM, SIGINT and what is yielded end the servers; a second signal ends them at once."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        runtime.begin_shutdown()
        for server in servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
