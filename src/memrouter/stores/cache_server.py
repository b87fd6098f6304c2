"""The Valkey or Redis server behind the hot cache: plain commands and Lua, no module."""

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from memrouter.config.memory import RedisCacheSettings
from memrouter.errors import MissingExtra, StoreUnavailable

if TYPE_CHECKING:
    from glide import GlideClient

T = TypeVar("T")

COMMAND_MS: Final = 50
"""Most milliseconds that a command may take."""
CONNECT_MS: Final = 100
"""Most milliseconds that connecting may take; the first command waits for it."""
MAX_ANSWERS: Final = 32
"""Most answers kept for one owner; the next one drops them all."""

_LOGIN: Final = "see username and password of global.stores.memory.redis_cache"
_RIGHTS: Final = "see docs/operations.md for the rights that its user needs"
_PRIMARY: Final = "its address must name a primary, not a replica"
_REMEDIES: Final = {
    "NOAUTH": _LOGIN,
    "WRONGPASS": _LOGIN,
    "PermissionDenied": _RIGHTS,
    "ACL failure": _RIGHTS,
    "ReadOnly": _PRIMARY,
    "No primary node": _PRIMARY,
    "MOVED": "its address must name a standalone server, not a cluster",
    "OOM": "raise its maxmemory, or set maxmemory-policy allkeys-lru",
    "LOADING": "it is still loading its data",
}
"""What to do, by the client's or the server's word for what is wrong."""
_CODE: Final = re.compile(rf"\b(?:{'|'.join(_REMEDIES)})\b")

# The field is not 64 hex digits long, so that no question can have it.
_EPOCH: Final = "epoch"

_WRITE: Final = f"""
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('UNLINK', KEYS[1]) end
local epoch = redis.call('HGET', KEYS[1], '{_EPOCH}') or ''
if epoch ~= ARGV[1] then return 0 end
if redis.call('HLEN', KEYS[1]) > {MAX_ANSWERS} then
  redis.call('UNLINK', KEYS[1])
  if epoch ~= '' then redis.call('HSET', KEYS[1], '{_EPOCH}', epoch) end
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1
"""
"""Keeps an answer, unless the epoch is no longer the one that was read at the start. The owner's answers expire
together: no answer outlives the time to live, counted from the first."""

_DROP: Final = f"""
local epoch = 0
if redis.call('TYPE', KEYS[1]).ok == 'hash' then epoch = tonumber(redis.call('HGET', KEYS[1], '{_EPOCH}')) or 0 end
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], '{_EPOCH}', epoch + 1)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
"""
"""Drops an owner's answers and raises the epoch, so that reads under way cannot put theirs back. It begins with the
dropping, so that a server whose memory is full takes it too."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What the cache has for a question.

    Attributes:
        epoch: Raised by every drop of the owner's answers; to be handed back on writing.
        value: The kept bytes; None if there are none.
    """

    epoch: bytes
    value: bytes | None


class CacheServer(Protocol):
    """Keeps bytes under an owner's key and a question's field. Every method may raise ``StoreUnavailable``."""

    async def read(self, key: str, field: str) -> Slot:
        """Return what is kept."""
        ...

    async def write(self, key: str, field: str, value: bytes, *, epoch: bytes) -> None:
        """Keep ``value``, unless the owner's answers were dropped since ``epoch`` was read."""
        ...

    async def drop(self, key: str) -> None:
        """Drop all that is kept under ``key``, in constant time."""
        ...

    async def aclose(self) -> None:
        """Close the connection; calling it again does nothing."""
        ...


class ValkeyCacheServer:
    """Satisfies ``CacheServer``; made by ``open``.

    Args:
        client: An open client; closed with this.
        settings: ``redis_cache``.
    """

    def __init__(self, client: "GlideClient", settings: RedisCacheSettings) -> None:
        from glide import Script

        self._client = client
        self._place = settings.address
        self._ttl_ms = str(settings.ttl_seconds * 1000)
        self._write = Script(_WRITE)  # type: ignore[no-untyped-call] # the client types only part of itself
        self._drop = Script(_DROP)  # type: ignore[no-untyped-call] # the client types only part of itself

    @classmethod
    async def open(cls, settings: RedisCacheSettings) -> "ValkeyCacheServer":
        """Return a server to be connected to with the first command; one that is down makes nothing fail here.

        Raises:
            MissingExtra: The client is not installed.
        """
        try:
            import glide
        except ImportError as error:
            raise MissingExtra("global.stores.memory.redis_cache", "valkey") from error
        host, _, port = settings.address.rpartition(":")
        password = settings.password.get_secret_value()
        configuration = glide.GlideClientConfiguration(
            [glide.NodeAddress(host.strip("[]"), int(port))],
            credentials=glide.ServerCredentials(password, settings.username or None) if password else None,
            database_id=settings.db,
            protocol=glide.ProtocolVersion.RESP2,
            request_timeout=COMMAND_MS,
            reconnect_strategy=glide.BackoffStrategy(num_of_retries=5, factor=100, exponent_base=2, jitter_percent=20),
            advanced_config=glide.AdvancedGlideClientConfiguration(connection_timeout=CONNECT_MS),
            lazy_connect=True,
        )
        return cls(await glide.GlideClient.create(configuration), settings)

    async def read(self, key: str, field: str) -> Slot:
        """See ``CacheServer.read``; a key that another program uses holds nothing."""
        from glide import RequestError

        async def asked() -> Slot:
            try:
                epoch, value = await self._client.hmget(key, [_EPOCH, field])
            except RequestError as error:
                if "WRONGTYPE" not in str(error):
                    raise
                return Slot(b"", None)
            return Slot(epoch or b"", value)

        return await self._bounded(asked())

    async def write(self, key: str, field: str, value: bytes, *, epoch: bytes) -> None:
        """See ``CacheServer.write``."""
        arguments: list[str | bytes] = [epoch, field, value, self._ttl_ms]
        await self._bounded(self._client.invoke_script(self._write, keys=[key], args=arguments))

    async def drop(self, key: str) -> None:
        """See ``CacheServer.drop``."""
        await self._bounded(self._client.invoke_script(self._drop, keys=[key], args=[self._ttl_ms]))

    async def aclose(self) -> None:
        """See ``CacheServer.aclose``."""
        await self._client.close()

    async def _bounded(self, command: Awaitable[T]) -> T:
        from glide import GlideError

        try:
            async with asyncio.timeout((COMMAND_MS + CONNECT_MS) / 1000):
                return await command
        except (GlideError, TimeoutError) as error:
            raise StoreUnavailable(f"the hot cache at {self._place} failed: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """Return why a command failed, without the rest of the reply, which may hold a key."""
    code = _CODE.search(str(error))
    if code is None:
        return type(error).__name__
    return f"the server says {code[0]}; {_REMEDIES[code[0]]}"
