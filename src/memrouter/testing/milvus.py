"""A real Milvus for tests: Standalone 2.3 from the package ``milvus``, or the server that the environment names."""

import signal
import subprocess
import tempfile
import time
import urllib.request
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from memrouter.config.memory import MilvusSettings
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.fact_collection import SUFFIX
from memrouter.testing.valkey import free_port

if TYPE_CHECKING:
    from pymilvus import MilvusClient

URI_VARIABLE: Final = "MEMROUTER_TEST_MILVUS_URI"
READY_SECONDS: Final = 120.0

TICK_MS: Final = 20
"""How often the test server moves its time on; by default 200. A write waits for one or two of these."""

CHECK_MS: Final = 100
"""How often the test server looks whether a collection is loaded; by default 1000."""

_CHECKS: Final = "  checkInterval: 1000\n"
_QUICK_CHECKS: Final = "".join(
    f"  {name}: {CHECK_MS}\n" for name in ("checkInterval", "checkChannelInterval", "checkSegmentInterval")
)
_ETCD: Final = "  data:\n    dir: {{ etcd_data_dir }}"


class StandaloneMilvus:
    """One Milvus process on 127.0.0.1; it keeps its ports and its folder over restarts.

    Args:
        tick_ms: ``proxy.timeTickInterval`` of the server, in milliseconds.
    """

    def __init__(self, *, tick_ms: int = TICK_MS) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="memrouter-milvus-", ignore_cleanup_errors=True)
        self.directory = Path(self._folder.name)
        self.port = free_port()
        self._health = free_port()
        self._tick_ms = tick_ms
        self._server: Any = None

    @property
    def _process(self) -> "subprocess.Popen[bytes] | None":
        process: subprocess.Popen[bytes] | None = None if self._server is None else self._server.server_proc
        return process

    def settings(self, **changes: object) -> MilvusSettings:
        """Return settings for a client of this server."""
        return MilvusSettings.model_validate({"address": f"127.0.0.1:{self.port}"} | changes)

    def start(self) -> None:
        """Start the process and block until it serves.

        Raises:
            RuntimeError: It ended, or did not serve in time.
        """
        from milvus import MilvusServer, MilvusServerConfig

        config = MilvusServerConfig(data_dir=str(self.directory))
        inner = {name: free_port() for name in config.configurable_items if name.endswith("_port")}
        config.update(**inner | {"proxy_port": self.port})
        config.template_text = config.template_text.replace(_ETCD, f"  config:\n    path: {self._etcd_file()}\n{_ETCD}")
        config.template_text = config.template_text.replace(_CHECKS, _QUICK_CHECKS)
        config.set("proxy.timeTickInterval", self._tick_ms)
        config.set("queryCoord.distPullInterval", CHECK_MS)
        self._server = MilvusServer(config, wait_for_started=False)
        self._server.webservice_port = self._health
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the package leaves sockets and files to the collector
            self._server.start()
        for log in self._server.proc_fds.values():
            log.close()
        self._wait_ready()

    def pause(self) -> None:
        """Let the process stand still: connections stay open and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._server.server_proc = None

    def close(self) -> None:
        """End the process and remove what it made."""
        self.kill()
        self._folder.cleanup()

    def _etcd_file(self) -> Path:
        """Write the settings of the server's own etcd, which else has ports that only one process can have."""
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        file = self.directory / "etcd.yaml"
        file.write_text(
            f"listen-client-urls: {client}\nadvertise-client-urls: {client}\nlisten-peer-urls: {peer}\n"
            f"initial-advertise-peer-urls: {peer}\ninitial-cluster: default={peer}\n"
        )
        return file

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _wait_ready(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"the Milvus server ended; see {self.directory / 'logs'}")
            with (
                suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self._health}/healthz", timeout=5) as reply,
            ):
                if b"OK" in reply.read():
                    return
            time.sleep(0.1)
        raise RuntimeError("the Milvus server did not get ready")


@contextmanager
def some_milvus(environment: Mapping[str, str]) -> Iterator[MilvusSettings]:
    """Give settings for the server that ``MEMROUTER_TEST_MILVUS_URI`` names, else for one that runs meanwhile."""
    uri = environment.get(URI_VARIABLE, "")
    if uri:
        yield MilvusSettings(address=uri)
        return
    server = StandaloneMilvus()
    try:
        server.start()
        yield server.settings()
    finally:
        server.close()


def elsewhere(settings: MilvusSettings, **changes: object) -> MilvusSettings:
    """Return settings for the same server with a collection that nobody else uses."""
    return settings.model_copy(update={"collection": f"t{uuid.uuid4().hex[:12]}", "num_partitions": 4, **changes})


async def drop(settings: MilvusSettings) -> None:
    """Remove the collections that a store with these settings has made."""
    await _administered(settings, lambda client, name, _: client.drop_collection(name))


async def emptied(settings: MilvusSettings) -> None:
    """Remove everything from a store's collections, which stay; far quicker than to make others."""
    await _administered(settings, _empty)


async def _administered(settings: MilvusSettings, work: "Callable[[MilvusClient, str, str], None]") -> None:
    """Do something with each collection of a store; ``work`` gets its name and an expression for all of it."""

    def run(client: "MilvusClient") -> None:
        everything = {settings.collection: 'user_id != ""', settings.collection + SUFFIX: 'key != ""'}
        for name, expression in everything.items():
            if client.has_collection(name):
                work(client, name, expression)

    connection = await Connection.open(settings)
    try:
        await connection.administer(run)
    finally:
        await connection.aclose()


def _empty(client: "MilvusClient", name: str, everything: str) -> None:
    client.delete(name, filter=everything)
    client.query(name, everything, output_fields=["count(*)"], consistency_level="Strong")
