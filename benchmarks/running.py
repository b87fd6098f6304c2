"""Running a benchmark as a program."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop
from rich.console import Console

from benchmarks.report import Report


def finish(
    run: Callable[[argparse.Namespace, Console], Awaitable[Report]], chosen: argparse.Namespace, *, width: int
) -> None:
    """Measure in the event loop that the router has, write the JSON file, and end the program.

    On SIGTERM and Ctrl-C the servers that were started are stopped first.
    """
    console = Console(width=width)

    async def guarded() -> Report:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await run(chosen, console)

    try:
        report = uvloop.run(guarded())
    except asyncio.CancelledError:
        sys.exit(128 + signal.SIGTERM)
    console.print(f"written: {report.write(chosen.output).name}", style="dim")
