"""The servers behind the kinds of store: started for a benchmark, or those that the environment names."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from memrouter.config.load import load_settings
from memrouter.config.memory import MemorySettings, MilvusSettings, ValkeySettings
from memrouter.stores.valkey.connection import Connection
from memrouter.testing.milvus import URI_VARIABLE, StandaloneMilvus, drop
from memrouter.testing.valkey import ValkeyServer, external_settings, forget

Section: TypeAlias = dict[str, Any]
"""What stands in ``global.stores.memory``."""

DEFAULT_TICK_MS = 200
"""``proxy.timeTickInterval`` of a Milvus that nobody has configured; tests have a shorter one."""


class Backend:
    """A kind of store with its server running; open with ``backend``.

    Attributes:
        version: Of the server; empty for SQLite.
        port: Of a Valkey server that was started for the benchmark; None else.
    """

    def __init__(self, section: Callable[[str], Section], *, version: str = "", port: int | None = None) -> None:
        self.version = version
        self.port = port
        self._section = section
        self.names: list[str] = []

    def apart(self, name: str) -> Section:
        """Return settings for memories of their own.

        Args:
            name: Lower-case letters and digits; the same for the same memories.
        """
        if name not in self.names:
            self.names.append(name)
        return self._section(name)


def memory_of(section: Section) -> MemorySettings:
    """Return the memory settings of a store."""
    return load_settings(None, env={}, overrides={"global": {"stores": {"memory": section}}}).settings.memory


@asynccontextmanager
async def backend(kind: str) -> AsyncIterator[Backend]:
    """Run what a kind of store needs while the body runs, and remove what was stored."""
    async with AsyncExitStack() as stack:
        if kind == "sqlite":
            folder = Path(stack.enter_context(TemporaryDirectory()))
            yield Backend(lambda name: {"backend": "sqlite", "sqlite": {"path": str(folder / f"{name}.db")}})
        elif kind == "milvus-lite":
            folder = Path(stack.enter_context(TemporaryDirectory()))
            block = {"timeout": 120}
            yield Backend(lambda name: {"backend": "milvus", "milvus": block | {"address": str(folder / f"{name}.db")}})
        elif kind == "valkey":
            yield await _valkey(stack)
        else:
            yield await _milvus(stack)


async def _valkey(stack: AsyncExitStack) -> Backend:
    settings, port = external_settings(os.environ), None
    if settings is None:
        server = await stack.enter_async_context(ValkeyServer())
        settings, port = server.settings(), server.port
    given = settings

    def section(name: str) -> Section:
        block = given.model_dump(exclude={"password"}) | {"password": given.password.get_secret_value()}
        return {"backend": "valkey", "valkey": block | {"collection_prefix": f"{name}:", "index_name": f"{name}_idx"}}

    made = Backend(section, version=await _valkey_version(given), port=port)
    if port is None:

        async def clean() -> None:
            for name in made.names:
                block = section(name)["valkey"]
                await forget(ValkeySettings.model_validate(block))

        stack.push_async_callback(clean)
    return made


async def _milvus(stack: AsyncExitStack) -> Backend:
    uri = os.environ.get(URI_VARIABLE, "")
    settings = MilvusSettings(address=uri, timeout=120)
    if not uri:
        server = StandaloneMilvus(tick_ms=DEFAULT_TICK_MS)
        stack.push_async_callback(asyncio.to_thread, server.close)
        await asyncio.to_thread(server.start)
        settings = server.settings(timeout=120)

    def section(name: str) -> Section:
        block = {"address": settings.address, "timeout": settings.timeout, "collection": f"bench_{name}"}
        return {"backend": "milvus", "milvus": block}

    made = Backend(section, version=await asyncio.to_thread(_milvus_version, settings.address))
    if uri:

        async def clean() -> None:
            for name in made.names:
                await drop(MilvusSettings.model_validate(section(name)["milvus"]))

        stack.push_async_callback(clean)
    return made


async def _valkey_version(settings: ValkeySettings) -> str:
    connection = await Connection.open(settings)
    try:
        info: Any = await connection.run(["INFO", "server"])
        text = next(iter(info.values())) if isinstance(info, dict) else info
        lines = dict(line.partition(":")[::2] for line in text.decode().splitlines() if ":" in line)
        modules: Any = await connection.run(["MODULE", "LIST"])
        return f"{lines.get('valkey_version') or lines.get('redis_version')}; modules {_modules(modules)}"
    finally:
        await connection.aclose()


def _modules(reply: Any) -> str:
    found = []
    for module in reply:
        pairs = module if isinstance(module, dict) else dict(zip(module[::2], module[1::2], strict=False))
        found.append(f"{pairs[b'name'].decode()} {pairs[b'ver']}")
    return ", ".join(found)


def _milvus_version(address: str) -> str:
    from pymilvus import MilvusClient

    client = MilvusClient(address if "://" in address or address.endswith(".db") else f"http://{address}")
    try:
        return str(client.get_server_version())
    finally:
        client.close()
