"""HTTP transport to the model servers: failover, time limits, streaming."""

import logging
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from memrouter.clock import Clock
from memrouter.config.settings import Settings
from memrouter.errors import UnknownModel, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from memrouter.observability.tracing import NOT_TRACED, Attributes, Tracer
from memrouter.upstream.backend import Backend, resolve_backends
from memrouter.upstream.balance import Balancer
from memrouter.upstream.base import UpstreamRequest
from memrouter.upstream.connection import Connection, ConnectionBroken, request_head
from memrouter.upstream.headers import outgoing, relayable
from memrouter.upstream.probe import check_backends
from memrouter.upstream.target import Target, Targets

logger = logging.getLogger(__name__)

PROBE_SECONDS = 1.0
_SERVER_ERROR = 500
_LAST_STATUS = 599


class FailoverObserver(Protocol):
    """Is told of every backend that failed and was passed over for the next one."""

    def __call__(self, *, model: str, backend: str) -> None:
        """Note one failover."""
        ...


@dataclass(frozen=True, slots=True)
class _Pool:
    """The backends of one model."""

    targets: tuple[Target, ...]
    balancer: Balancer


@dataclass(frozen=True, slots=True)
class BackendState:
    """A backend as requests find it now.

    Attributes:
        name: Its name in the configuration, or its address where it has none.
        address: Host and port.
        weight: Share of requests that try it first.
        cooling: For how many more seconds it is tried after the others since it failed; 0 for a healthy one.
    """

    name: str
    address: str
    weight: int
    cooling: float


class HttpReply:
    """An answer of a backend; satisfies ``UpstreamReply``."""

    def __init__(self, connection: Connection, *, target: Target, timeout: float) -> None:
        self._connection: Connection | None = connection
        self._target = target
        self._timeout = timeout
        self._status = connection.status
        self._headers = relayable(connection.headers, status=connection.status)

    @property
    def status(self) -> int:
        """Return the HTTP status of the backend."""
        return self._status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Return the end-to-end headers as received, names in lower case."""
        return self._headers

    @property
    def backend(self) -> str:
        """Return the name of the backend that answered."""
        return self._target.backend.name

    @property
    def ended(self) -> bool:
        """Return whether nothing follows what ``chunks`` has yielded, as far as that is known already."""
        return self._connection is None or self._connection.ended

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes, never buffered, unchanged.

        Raises:
            UpstreamTimeout: The backend fell silent.
            UpstreamError: The connection broke before the end.
        """
        connection, backend = self._connection, self._target.backend
        if connection is None:
            return
        try:
            while chunk := await connection.read():
                yield chunk
        except TimeoutError:
            raise UpstreamTimeout(f"{backend} fell silent for {self._timeout:g} s in its answer") from None
        except ConnectionBroken as error:
            raise UpstreamError(f"{backend} broke off in its answer: {error}") from error
        self._give_back()

    async def aclose(self) -> None:
        """End the call; where the body has not ended, the backend sees the connection close."""
        self._give_back()

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._target.connections.give_back(connection)


class HttpUpstream:
    """The configured model servers over HTTP; satisfies ``ChatUpstream``.

    Connections are opened by the first request, in its event loop, and kept for the next ones. Redirects are relayed,
    not followed; cookies are not kept; proxy variables of the environment are not used.

    Args:
        settings: The configuration.
        env: Environment variables, for ``api_key_env``.
        clock: Tells how long ago a backend failed.
        rng: Chooses among weighted backends.
        on_failover: Told of each backend that failed and was passed over for the next one.
        tracer: Makes a span of each try, and tells backends which trace it belongs to.

    Raises:
        ConfigError: A backend cannot be used as it is configured.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        env: Mapping[str, str],
        clock: Clock,
        rng: random.Random,
        on_failover: FailoverObserver | None = None,
        tracer: Tracer = NOT_TRACED,
    ) -> None:
        server, auth = settings.global_.server, settings.global_.auth
        self._connect_timeout = server.connect_timeout
        self._most_connections = server.upstream_connections
        self._targets = Targets(
            private=auth.private_headers, most=server.upstream_connections, patience=server.connect_timeout
        )
        self._on_failover = on_failover
        self._tracer = tracer
        self._pools = {
            model: _Pool(
                tuple(self._targets.of(backend) for backend in backends),
                Balancer([b.weight for b in backends], cooldown=server.backend_cooldown, clock=clock, rng=rng),
            )
            for model, backends in resolve_backends(settings, env=env).items()
        }
        self._closed = False

    async def send(self, request: UpstreamRequest) -> HttpReply:
        """Return the first usable answer for a chat request.

        Backends are tried by weight; a connect error, a connection that breaks before the answer, or a 5xx leads to
        the next one. When all have failed, the last 5xx answer is returned as it is.

        Raises:
            UnknownModel: The configuration has no such model.
            UpstreamUnreachable: No backend answered.
            UpstreamTimeout: A backend took the request and kept silent; no other one is asked.
        """
        pool = self._pools.get(request.model)
        if pool is None:
            raise UnknownModel(f"no model '{request.model}' is configured", param="model")
        failed: HttpReply | None = None
        reasons = []
        order = pool.balancer.order()
        for position, index in enumerate(order):
            target = pool.targets[index]
            try:
                reply = await (self._ask_traced if self._tracer.on else self._ask)(target, request)
            except UpstreamUnreachable as error:
                reasons.append(str(error))
            except BaseException as error:
                if isinstance(error, UpstreamTimeout):
                    pool.balancer.mark_failed(index)
                await _close(failed)
                raise
            else:
                await _close(failed)
                if reply.status < _SERVER_ERROR:
                    pool.balancer.mark_ok(index)
                    return reply
                failed = reply
                reasons.append(f"{target.backend} answered with status {reply.status}")
            pool.balancer.mark_failed(index)
            if position + 1 < len(order):
                self._note_failover(request.model, target.backend, reasons[-1])
        if failed is not None:
            return failed
        raise UpstreamUnreachable(f"no backend of model '{request.model}' answered: " + "; ".join(reasons))

    def states(self) -> dict[str, Sequence[BackendState]]:
        """Return the backends of every model, by the model's name."""
        return {
            model: [
                BackendState(
                    name=target.backend.name,
                    address=f"{target.backend.url.host}:{target.backend.url.port}",
                    weight=target.backend.weight,
                    cooling=pool.balancer.cooling(index),
                )
                for index, target in enumerate(pool.targets)
            ]
            for model, pool in self._pools.items()
        }

    async def check(self) -> None:
        """Prove that every model has a backend that takes connections.

        Raises:
            UpstreamUnreachable: It names the models without one.
        """
        models = {name: [target.backend for target in pool.targets] for name, pool in self._pools.items()}
        await check_backends(models, patience=PROBE_SECONDS)

    async def aclose(self) -> None:
        """Close all connections; calling it again does nothing."""
        self._closed = True
        await self._targets.aclose()

    def _note_failover(self, model: str, backend: Backend, reason: str) -> None:
        logger.warning("trying the next backend of model '%s': %s", model, reason)
        if self._on_failover is not None:
            self._on_failover(model=model, backend=backend.name)

    async def _ask_traced(self, target: Target, request: UpstreamRequest) -> HttpReply:
        """Ask one backend within a span of its own, which it is told of."""
        url = target.backend.url
        attributes: Attributes = {
            "http.request.method": "POST",
            "server.address": url.host or "",
            "server.port": url.port or 0,
            "memrouter.backend": target.backend.name,
        }
        with self._tracer.span("POST", attributes, client=True) as span:
            reply = await self._ask(target, replace(request, headers=self._tracer.carried(request.headers)))
            span.set("http.response.status_code", reply.status)
            if reply.status >= _SERVER_ERROR:
                span.fail(str(reply.status))
            return reply

    async def _ask(self, target: Target, request: UpstreamRequest, *, fresh: bool = False) -> HttpReply:
        """Return the answer of one backend; the border at which errors of its connections end."""
        headers = outgoing(request.headers, private=target.private, own=target.own)
        head = request_head(target.start, headers, length=len(request.body))
        connection = await self._connection(target, fresh=fresh)
        try:
            await connection.ask(head, request.body, silence=request.timeout)
        except BaseException as error:
            target.connections.give_back(connection)
            if isinstance(error, TimeoutError):
                silent = f"{target.backend} took the request and kept silent for {request.timeout:g} s"
                raise UpstreamTimeout(silent) from error
            if not isinstance(error, ConnectionBroken):
                raise
            if fresh or not connection.used:
                raise UpstreamUnreachable(f"{target.backend} broke off before it answered: {error}") from error
            # The server closed an idle connection while the request was on its way: says nothing about its health.
            return await self._ask(target, request, fresh=True)
        if connection.status > _LAST_STATUS:
            target.connections.give_back(connection)
            raise UpstreamUnreachable(
                f"{target.backend} answered with status {connection.status}, which is none of HTTP"
            )
        return HttpReply(connection, target=target, timeout=request.timeout)

    async def _connection(self, target: Target, *, fresh: bool = False) -> Connection:
        if self._closed:
            raise UpstreamUnreachable("the router is closing its connections")
        backend = target.backend
        try:
            return await target.connections.lend(fresh=fresh)
        except TimeoutError as error:
            why = f"it does not answer, or all {self._most_connections} connections to it are in use"
            raise UpstreamUnreachable(f"{backend} gave no connection in {self._connect_timeout:g} s: {why}") from error
        except (OSError, UnicodeError) as error:  # the latter of a name that cannot be looked up
            raise UpstreamUnreachable(f"{backend} cannot be connected to: {_reason(error)}") from error


async def _close(reply: HttpReply | None) -> None:
    if reply is not None:
        await reply.aclose()


def _reason(error: BaseException) -> str:
    """Return what went wrong in the system's words; never a body."""
    return getattr(error, "strerror", None) or type(error).__name__
