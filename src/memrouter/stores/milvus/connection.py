"""The one client for Milvus: calls in bounded threads, every failure as a StoreUnavailable."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

from memrouter.config.memory import MilvusSettings
from memrouter.errors import MissingExtra, StoreUnavailable
from memrouter.stores.milvus.address import SECTION, MilvusAddress, milvus_address
from memrouter.stores.milvus.errors import refused, unreachable

if TYPE_CHECKING:
    from pymilvus import MilvusClient

T = TypeVar("T")

Row: TypeAlias = dict[str, Any]
"""Fields of one entity by name."""

Consistency: TypeAlias = Literal["Eventually", "Strong"]
"""What a read waits for: nothing, or everything that was written before it. ``Session`` would do for one's own writes,
but the client keeps its timestamp in a cache where, of two inserts at once, the earlier one may stay."""

READERS: Final = 8
WRITERS: Final = 8
WAITERS: Final = 32
"""Most calls of each kind at once; a waiter does nothing but wait for the server's next time tick."""

GRACE_SECONDS: Final = 1.0
"""Added to the timeout around a call, whose own timeout should strike first."""

_QUIET: Final = ("pymilvus", "milvus_lite")


class Connection:
    """Calls to one server. A lost connection is taken up again with the next call; no write is repeated.

    The asynchronous client of the same package parses replies in the event loop, which 2,000 memories block for tens
    of milliseconds; so this is the blocking one in threads.

    Attributes:
        place: Where the server is, for messages.
        local: Whether it is Milvus Lite.
        longest_call: Most seconds after which a call has ended that is not one of ``administer``.
    """

    def __init__(self, client: "MilvusClient", address: MilvusAddress, timeout: float) -> None:
        self.place = address.place
        self.local = address.local
        self.longest_call = timeout + GRACE_SECONDS
        self._client = client
        self._timeout = timeout
        self._readers = ThreadPoolExecutor(READERS, "milvus-read")
        self._writers = ThreadPoolExecutor(WRITERS, "milvus-write")
        self._waiters = ThreadPoolExecutor(WAITERS, "milvus-wait")
        self._closed = False

    @classmethod
    async def open(cls, settings: MilvusSettings) -> "Connection":
        """Return a connection that has reached its server.

        Raises:
            ConfigError: The address cannot be used.
            MissingExtra: The client's package, or that of Milvus Lite, is not installed.
            StoreUnavailable: The server cannot be reached or refuses the connection; the message says why.
        """
        address = milvus_address(settings)
        _require_packages(address)
        for name in _QUIET:  # their messages quote expressions, and so the ids of users
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        if address.local and not await asyncio.to_thread(Path(address.uri).parent.is_dir):
            raise StoreUnavailable(
                f"the folder of {address.place} does not exist; make it, or correct {SECTION}.address"
            )
        client: MilvusClient = await _guarded(
            asyncio.to_thread(_client, settings, address), place=address.place, timeout=settings.timeout
        )
        return cls(client, address, settings.timeout)

    async def query(
        self,
        collection: str,
        expression: str,
        fields: Sequence[str],
        *,
        limit: int | None = None,
        level: Consistency = "Eventually",
    ) -> list[Row]:
        """Return the entities for which an expression holds.

        Args:
            collection: Name or alias.
            expression: Not empty.
            fields: What to return.
            limit: Most entities; on a server those with the least primary keys, in their order.
            level: What to wait for.
        """
        more: dict[str, Any] = {} if limit is None else {"limit": limit}
        call = partial(
            self._client.query,
            collection,
            expression,
            output_fields=list(fields),
            timeout=self._timeout,
            consistency_level=level,
            **more,
        )
        return await self._run(self._readers if level == "Eventually" else self._waiters, lambda: list(call()))

    async def search(
        self, collection: str, vector: Sequence[float], expression: str, fields: Sequence[str], *, limit: int, ef: int
    ) -> list[tuple[float, Row]]:
        """Return the nearest entities for which an expression holds, with what the server's metric makes of them.

        Args:
            collection: Name or alias.
            vector: What to be near to.
            expression: Not empty.
            fields: What to return.
            limit: Most entities.
            ef: How wide an HNSW index searches; another index ignores it.
        """
        call = partial(
            self._client.search,
            collection,
            [list(vector)],
            filter=expression,
            limit=limit,
            output_fields=list(fields),
            search_params={"params": {"ef": ef}},
            anns_field="embedding",
            timeout=self._timeout,
            consistency_level="Eventually",
        )
        hits = await self._run(self._readers, lambda: [list(found) for found in call()])
        return [(float(hit["distance"]), dict(hit["entity"])) for hit in hits[0]]

    async def describe(self, collection: str) -> dict[str, Any]:
        """Return what a collection is like, as the server has it now."""
        call = partial(self._client.describe_collection, collection, timeout=self._timeout)
        return await self._run(self._readers, lambda: dict(call()))

    async def insert(self, collection: str, rows: Sequence[Row]) -> None:
        """Add entities: all of them at one timestamp, so that a reader sees all or none."""
        await self._run(self._writers, partial(self._client.insert, collection, list(rows), timeout=self._timeout))

    async def delete(self, collection: str, expression: str) -> None:
        """Remove the entities for which an expression holds; reads see that a moment later."""
        call = partial(self._client.delete, collection, filter=expression, timeout=self._timeout)
        await self._run(self._writers, call)

    async def administer(self, call: "Callable[[MilvusClient], T]", *, seconds: float | None = None) -> T:
        """Return what a function gets from the client, which it has for itself in a thread.

        Args:
            call: Gets the client.
            seconds: How long it may take; None for the configured timeout.
        """
        return await self._run(self._writers, lambda: call(self._client), seconds=seconds)

    async def aclose(self) -> None:
        """Let go of the server; calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        for pool in (self._readers, self._writers, self._waiters):
            pool.shutdown(wait=False)
        await asyncio.to_thread(self._client.close)

    async def _run(self, pool: ThreadPoolExecutor, call: Callable[[], T], *, seconds: float | None = None) -> T:
        if self._closed:
            raise StoreUnavailable("the memory store is closed")
        waiting = asyncio.get_running_loop().run_in_executor(pool, call)
        return await _guarded(waiting, place=self.place, timeout=seconds or self._timeout)


async def _guarded(waiting: "asyncio.Future[T] | Any", *, place: str, timeout: float) -> T:  # noqa: ASYNC109 - for the message too
    """Return what a call gives.

    Raises:
        StoreUnavailable: It failed, or took longer than ``timeout`` and a little.
    """
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        async with asyncio.timeout(timeout + GRACE_SECONDS):
            result: T = await waiting
            return result
    except (TimeoutError, OSError, grpc.FutureTimeoutError):
        raise unreachable(place=place, timeout=timeout) from None
    except grpc.RpcError as error:
        raise _translated(error.code(), str(error.details()), place=place, timeout=timeout) from None
    except MilvusException as error:
        raise _translated(error.code, str(error.message), place=place, timeout=timeout) from None
    except ValueError as error:
        if "closed channel" not in str(error):
            raise
        raise StoreUnavailable("the memory store is closed") from None


def _translated(code: object, reply: str, *, place: str, timeout: float) -> StoreUnavailable:
    import grpc

    lost = ("Retry timeout", "Fail connecting", "failed to connect", "Timeout", "illegal connection", "UNAVAILABLE")
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED) or any(
        words in reply for words in lost
    ):
        return unreachable(place=place, timeout=timeout)
    return refused(reply, place=place, code=code)


def _require_packages(address: MilvusAddress) -> None:
    try:
        import pymilvus  # noqa: F401 - only whether it is there
    except ImportError:
        raise MissingExtra("backend: milvus", "milvus") from None
    if address.local:
        try:
            import milvus_lite  # noqa: F401 - only whether it is there
        except ImportError:
            raise MissingExtra(f"{SECTION}.address with a local file", "milvus-lite") from None


def _client(settings: MilvusSettings, address: MilvusAddress) -> "MilvusClient":
    from pymilvus import MilvusClient

    more: dict[str, Any] = {"secure": True} if address.tls else {}
    if address.tls and settings.tls_ca_path:
        more["server_pem_path"] = settings.tls_ca_path
    return MilvusClient(
        address.uri,
        user=settings.username,
        password=settings.password.get_secret_value(),
        token=settings.token.get_secret_value(),
        db_name=settings.database,
        timeout=settings.timeout,
        dedicated=True,
        **more,
    )
