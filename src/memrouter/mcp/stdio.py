"""The MCP server over standard input and output: one client, one user."""

import asyncio
import contextlib
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Longest message; a longer one is answered as unreadable."""


async def serve_stdio(server: Server[Any]) -> None:
    """Answer one client until standard input ends or SIGTERM comes. Nothing else may write to standard output."""
    serving = asyncio.ensure_future(_serve(server))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, serving.cancel)
    try:
        await asyncio.wait((serving,))
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        serving.cancel()
        await asyncio.wait((serving,))
    if not serving.cancelled():
        serving.result()


class StdinLines:
    """Lines of standard input as they come, read without a thread: such a thread cannot be stopped.

    Args:
        reader: Gives the bytes.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def __aiter__(self) -> "StdinLines":
        return self

    async def __anext__(self) -> str:
        try:
            line = await self._reader.readline()
        except ValueError:
            return "\n"  # over MAX_LINE_BYTES
        if not line:
            raise StopAsyncIteration
        return line.decode(errors="replace")


@contextlib.asynccontextmanager
async def open_stdin() -> AsyncIterator[StdinLines | None]:
    """Read standard input in the event loop; None where that cannot be, as with a regular file."""
    descriptor = sys.stdin.fileno()
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)):
        yield None
        return
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(descriptor), "rb", buffering=0)
    )
    try:
        yield StdinLines(reader)
    finally:
        transport.close()
        os.set_blocking(descriptor, True)


async def _serve(server: Server[Any]) -> None:
    async with open_stdin() as lines:
        # Only gone through line by line, which is all that the SDK does with a file.
        given = cast("anyio.AsyncFile[str] | None", lines)
        async with stdio_server(stdin=given) as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
