"""The one client for a Valkey server: commands, pipelines and scripts, with every failure as a StoreUnavailable."""

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from memrouter.config.memory import ValkeySettings
from memrouter.errors import InvalidRequest, MissingExtra, StoreUnavailable
from memrouter.stores.valkey.errors import ServerRefused, refused
from memrouter.stores.valkey.glance import Glance, NotSeen
from memrouter.stores.valkey.scripts import Arg as Arg
from memrouter.stores.valkey.scripts import LuaScript, ScriptCall

if TYPE_CHECKING:
    from glide import AdvancedGlideClientConfiguration, GlideClient, GlideClusterClient, ServerCredentials, SlotKeyRoute

logger = logging.getLogger(__name__)

Command: TypeAlias = Sequence[Arg]

MAX_INFLIGHT = 16_384
"""Most commands under way at once; one more is refused rather than queued without bound."""
CONNECT_GRACE_SECONDS = 1.0
"""Added to the timeout around opening a client, whose own timeout should strike first."""
NOT_TEXT = "a text holds a lone surrogate and cannot be stored or searched"
"""The message about a text that UTF-8 cannot hold."""

_RETRY_STEPS = 5
_RETRY_FACTOR_MS = 50
_RETRY_BASE = 2
_RETRY_JITTER_PERCENT = 30


class Connection:
    """Commands to one server or cluster, many at a time over one connection per node.

    A lost connection is taken up again in the background, with growing pauses (50 ms to 1.6 s) and jitter; commands
    fail meanwhile, none is repeated on its own. Replies are what the client gives: bytes, int, None, lists and, for
    FT.SEARCH, dicts.

    Attributes:
        place: Host and port, for messages.
        cluster: Whether keys are spread over several nodes.
    """

    def __init__(self, client: "GlideClient | GlideClusterClient", settings: ValkeySettings) -> None:
        import glide

        self.place = _place(settings)
        self.cluster = settings.cluster
        self._client: Any = client
        self._error = glide.GlideError
        self._many_nodes = isinstance(client, glide.GlideClusterClient)
        self._batch = glide.ClusterBatch if self._many_nodes else glide.Batch
        self._timeout = settings.timeout
        self._glance: Glance | None = None
        if not (settings.cluster or settings.tls_enabled):
            self._glance = Glance(settings, server=partial(self.run, ["INFO", "server"]))
        self._closed = False

    @classmethod
    async def open(cls, settings: ValkeySettings) -> "Connection":
        """Return a connection that has reached its server.

        Raises:
            MissingExtra: The client's package is not installed.
            StoreUnavailable: The server cannot be reached or refuses the connection; the message says why.
        """
        glide_error, client_class, configuration = await _configured(settings)
        client = await client_class.create(configuration)  # connects with the first command
        try:
            async with asyncio.timeout(settings.timeout + CONNECT_GRACE_SECONDS):
                await client.custom_command(["PING"])
        except BaseException as error:
            await client.close()
            if isinstance(error, (glide_error, TimeoutError, OSError)):
                raise await _unreachable(settings, str(error)) from None
            raise
        return cls(client, settings)

    async def run(self, args: Command, *, beside: str | None = None) -> Any:
        """Return the reply to one command.

        Args:
            args: The command and its arguments.
            beside: In a cluster, send it to the node that has this key, whatever the command itself names.

        Raises:
            ServerRefused: The server answered with an error.
            StoreUnavailable: No answer.
            InvalidRequest: An argument holds a lone surrogate.
        """
        command = _encoded(args)
        try:
            if beside is not None and self._many_nodes:
                return await self._client.custom_command(command, _primary_of(beside))
            return await self._client.custom_command(command)
        except self._error as error:
            raise self._translated(error) from None

    async def value(self, key: str) -> bytes | None:
        """Return the string that a key holds; None for no key. Cheaper than ``run``, and fails as that does."""
        if self._glance is not None:
            try:
                return await self._glance.value(key)
            except NotSeen:
                pass
            except TimeoutError:
                raise self._too_slow() from None
        held: bytes | None = await self.run(["GET", key])
        return held

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies to several commands that are sent together; on one server they run in their order.

        Not a transaction: others may come in between. In a cluster the parts run side by side.

        Raises:
            ServerRefused: The server answered one of them with an error; the others were done all the same.
            StoreUnavailable: No answer.
        """
        replies = await self.attempt(commands)
        for reply in replies:
            if isinstance(reply, StoreUnavailable):
                raise reply
        return replies

    async def attempt(self, commands: Sequence[Command]) -> list[Any]:
        """Do as ``pipeline``, with a StoreUnavailable in the place of each command that failed.

        Raises:
            StoreUnavailable: No answer at all.
        """
        if not commands:
            return []
        batch = self._batch(is_atomic=False)
        for command in commands:
            batch.custom_command(_encoded(command))
        try:
            replies = await self._client.exec(batch, raise_on_error=False)
        except self._error as error:
            raise self._translated(error) from None
        return [self._translated(reply) if isinstance(reply, self._error) else reply for reply in replies or ()]

    async def script(self, script: LuaScript, keys: Sequence[Arg], args: Sequence[Arg]) -> Any:
        """Return what a script gives; the server is handed its text where it does not have it yet.

        Args:
            script: What to run.
            keys: The keys that it touches, all of one slot.
            args: Its arguments.
        """
        call = ScriptCall(script, keys, args)
        try:
            return await self.run(call.by_digest())
        except ServerRefused as error:
            if not error.script_unknown:
                raise
        return await self.run(call.by_text())

    async def scripts(self, calls: Sequence[ScriptCall | Command]) -> list[Any]:
        """Return what scripts and plain commands give that are sent together; see ``pipeline``."""
        commands = [call.by_digest() if isinstance(call, ScriptCall) else call for call in calls]
        replies = await self.attempt(commands)
        lost = [
            index for index, reply in enumerate(replies) if isinstance(reply, ServerRefused) and reply.script_unknown
        ]
        texts = [call.by_text() for index in lost if isinstance(call := calls[index], ScriptCall)]
        for index, reply in zip(lost, await self.attempt(texts), strict=True):
            replies[index] = reply
        for reply in replies:
            if isinstance(reply, StoreUnavailable):
                raise reply
        return replies

    async def scan(
        self, pattern: str, *, count: int = 1000, kind: Literal["hash", "zset"] | None = "hash"
    ) -> AsyncIterator[list[bytes]]:
        """Yield the keys that match a glob pattern, in parts, from every node; a key may come more than once.

        Args:
            pattern: What the keys look like.
            count: How many keys a node looks at in one step.
            kind: Type of the keys that are wanted; None for any.

        Raises:
            StoreUnavailable: No answer.
        """
        from glide import ClusterScanCursor, ObjectType

        if not self._many_nodes:
            position: Any = b"0"
            only = () if kind is None else ("TYPE", kind)
            while True:
                position, keys = await self.run(["SCAN", position, "MATCH", pattern, "COUNT", count, *only])
                yield keys
                if position == b"0":
                    return
        kinds = None if kind is None else ObjectType[kind.upper()]
        cursor = ClusterScanCursor()  # type: ignore[no-untyped-call] # the client does not annotate it
        while not cursor.is_finished():
            try:
                reply: Any = await self._client.scan(cursor, match=pattern, count=count, type=kinds)
            except self._error as error:
                raise self._translated(error) from None
            cursor = reply[0]
            yield reply[1]

    async def aclose(self) -> None:
        """Let go of the server; calling it again does nothing."""
        if not self._closed:
            self._closed = True
            glance, self._glance = self._glance, None
            if glance is not None:
                await glance.aclose()
            await self._client.close()

    def _translated(self, error: Exception) -> StoreUnavailable:
        from glide import ClosingError, ConnectionError, TimeoutError  # noqa: A004 - the client's own names

        if self._glance is not None:
            self._glance.doubt()  # its server may have lost its place to another
        match error:
            case ClosingError() if self._closed:
                return StoreUnavailable("the memory store is closed")
            case TimeoutError():
                return self._too_slow()
            case ConnectionError() | ClosingError():
                return StoreUnavailable(f"the connection to Valkey at {self.place} is lost; it is being taken up again")
            case _:
                return refused(str(error), place=self.place)

    def _too_slow(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"Valkey at {self.place} did not answer within {self._timeout:g} s; see whether it is overloaded "
            "or stopped, or raise global.stores.memory.valkey.timeout"
        )


async def _configured(settings: ValkeySettings) -> tuple[type[Exception], Any, Any]:
    """Return the client's base error, its class and its configuration."""
    try:
        import glide
    except ImportError:
        raise MissingExtra("backend: valkey", "valkey") from None
    glide.Logger.init(glide.LogLevel.ERROR)
    milliseconds = max(1, round(settings.timeout * 1000))
    tls = await _tls(settings)
    common: dict[str, Any] = {
        "addresses": [glide.NodeAddress(settings.host, settings.port)],
        "use_tls": settings.tls_enabled,
        "credentials": _credentials(settings),
        "request_timeout": milliseconds,
        "protocol": glide.ProtocolVersion.RESP2,  # RESP3 gives RediSearch's FT.SEARCH in a form the client cannot read
        "client_name": "memrouter",
        "inflight_requests_limit": MAX_INFLIGHT,
        "lazy_connect": True,  # else the client blocks the event loop until it is connected
        "database_id": settings.database or None,
        "reconnect_strategy": glide.BackoffStrategy(
            _RETRY_STEPS, _RETRY_FACTOR_MS, _RETRY_BASE, jitter_percent=_RETRY_JITTER_PERCENT
        ),
    }
    if settings.cluster:
        advanced = glide.AdvancedGlideClusterClientConfiguration(connection_timeout=milliseconds, tls_config=tls)
        return (
            glide.GlideError,
            glide.GlideClusterClient,
            glide.GlideClusterClientConfiguration(**common, advanced_config=advanced),
        )
    single: AdvancedGlideClientConfiguration = glide.AdvancedGlideClientConfiguration(
        connection_timeout=milliseconds, tls_config=tls
    )
    return glide.GlideError, glide.GlideClient, glide.GlideClientConfiguration(**common, advanced_config=single)


def _credentials(settings: ValkeySettings) -> "ServerCredentials | None":
    from glide import ServerCredentials

    password = settings.password.get_secret_value()
    if not password and not settings.username:
        return None
    return ServerCredentials(password=password, username=settings.username or None)


async def _tls(settings: ValkeySettings) -> Any:
    from glide import TlsAdvancedConfiguration

    if not settings.tls_enabled:
        return None
    authorities = None
    if settings.tls_ca_path:
        try:
            authorities = await asyncio.to_thread(Path(settings.tls_ca_path).read_bytes)
        except OSError as error:
            raise StoreUnavailable(
                f"the CA file {settings.tls_ca_path} cannot be read ({error.strerror}); "
                "correct global.stores.memory.valkey.tls_ca_path"
            ) from None
        if not _certificates(authorities):
            raise StoreUnavailable(
                f"the CA file {settings.tls_ca_path} holds no certificate in PEM form; "
                "correct global.stores.memory.valkey.tls_ca_path"
            )
    if settings.tls_insecure_skip_verify:
        logger.warning(
            "tls_insecure_skip_verify is on: anybody on the way to Valkey at %s can read and change memories",
            _place(settings),
        )
    return TlsAdvancedConfiguration(
        use_insecure_tls=settings.tls_insecure_skip_verify or None, root_pem_cacerts=authorities
    )


def _certificates(authorities: bytes) -> bool:
    """Return whether these are certificates; the client would only call a bad file a timeout."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authorities.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return False
    return True


async def _unreachable(settings: ValkeySettings, said: str) -> StoreUnavailable:
    """Return why a client could not be opened: it calls most causes a timeout, so the port is tried once more."""
    place = _place(settings)
    for word in ("WRONGPASS", "NOAUTH", "NOPERM", "LOADING", "CLUSTERDOWN"):
        if word in said:
            return refused(said, place=place)
    if "AuthenticationFailed" in said or "authentication failed" in said.lower():
        return refused("WRONGPASS", place=place)
    try:
        async with asyncio.timeout(min(settings.timeout, CONNECT_GRACE_SECONDS)):
            greeting = await _ping(settings)
        if "NOAUTH" in greeting:
            return refused("NOAUTH", place=place)
    except TimeoutError:
        greeting = ""
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)
        return StoreUnavailable(
            f"Valkey at {place} cannot be reached ({reason}); "
            "start it, or correct global.stores.memory.valkey.host and .port"
        )
    hint = (
        "its certificate and tls_ca_path"
        if settings.tls_enabled
        else "global.stores.memory.valkey.tls_enabled and .cluster"
    )
    return StoreUnavailable(
        f"Valkey at {place} did not accept a connection within {settings.timeout:g} s; see that the host is up, no "
        f"firewall is in the way and the server is not stopped or overloaded, and check {hint}"
    )


async def _ping(settings: ValkeySettings) -> str:
    """Return what the port says to a PING without a password; empty where it speaks TLS."""
    reader, writer = await asyncio.open_connection(settings.host, settings.port)
    try:
        if settings.tls_enabled:
            return ""
        writer.write(b"PING\r\n")
        return (await reader.readline()).decode(errors="replace")
    finally:
        writer.close()


def _primary_of(key: str) -> "SlotKeyRoute":
    from glide import SlotKeyRoute, SlotType

    return SlotKeyRoute(SlotType.PRIMARY, key)


def _place(settings: ValkeySettings) -> str:
    return f"{settings.host}:{settings.port}"


def _encoded(args: Command) -> list[str | bytes]:
    try:
        return [arg if type(arg) is bytes else arg.encode() if type(arg) is str else str(arg).encode() for arg in args]
    except UnicodeEncodeError:
        raise InvalidRequest(NOT_TEXT) from None
