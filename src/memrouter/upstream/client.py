"""HTTP transport to the model servers: failover, time limits, streaming."""

import asyncio
import io
import logging
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import aiohttp

from memrouter.clock import Clock
from memrouter.config.settings import Settings
from memrouter.errors import UnknownModel, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from memrouter.observability.tracing import NOT_TRACED, Attributes, Tracer
from memrouter.upstream.backend import Backend, resolve_backends
from memrouter.upstream.balance import Balancer
from memrouter.upstream.base import UpstreamRequest
from memrouter.upstream.headers import outgoing, relayable
from memrouter.upstream.probe import check_backends

logger = logging.getLogger(__name__)

PROBE_SECONDS = 1.0
_SERVER_ERROR = 500
_WHOLE_BYTES = 512 * 1024
"""Bodies up to this size are handed over whole; larger ones are written in pieces."""
_NO_AUTO_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class FailoverObserver(Protocol):
    """Is told of every backend that failed and was passed over for the next one."""

    def __call__(self, *, model: str, backend: str) -> None:
        """Note one failover."""
        ...


@dataclass(frozen=True, slots=True)
class _Pool:
    """The backends of one model."""

    backends: tuple[Backend, ...]
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


@dataclass(slots=True)
class _Attempt:
    """One try to send a request; the session's trace fills it in."""

    reused: bool = False


class HttpReply:
    """An answer of a backend; satisfies ``UpstreamReply``."""

    def __init__(self, response: aiohttp.ClientResponse, *, backend: Backend, timeout: float) -> None:
        self._response = response
        self._backend = backend
        self._timeout = timeout
        self._headers = relayable(response.raw_headers)

    @property
    def status(self) -> int:
        """Return the HTTP status of the backend."""
        return self._response.status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Return the end-to-end headers as received, names in lower case."""
        return self._headers

    @property
    def backend(self) -> str:
        """Return the name of the backend that answered."""
        return self._backend.name

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes, never buffered, unchanged.

        Raises:
            UpstreamTimeout: The backend fell silent.
            UpstreamError: The connection broke before the end.
        """
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except TimeoutError:
            raise UpstreamTimeout(f"{self._backend} fell silent for {self._timeout:g} s in its answer") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(f"{self._backend} broke off in its answer: {_reason(error)}") from error

    async def aclose(self) -> None:
        """End the call; where the body has not ended, the backend sees the connection close."""
        self._response.close()


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
        self._connections = server.upstream_connections
        self._private = auth.private_headers
        self._on_failover = on_failover
        self._tracer = tracer
        self._pools = {
            model: _Pool(
                backends,
                Balancer([b.weight for b in backends], cooldown=server.backend_cooldown, clock=clock, rng=rng),
            )
            for model, backends in resolve_backends(settings, env=env).items()
        }
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
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
            backend = pool.backends[index]
            try:
                reply = await (self._ask_traced if self._tracer.on else self._ask)(backend, request)
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
                reasons.append(f"{backend} answered with status {reply.status}")
            pool.balancer.mark_failed(index)
            if position + 1 < len(order):
                self._note_failover(request.model, backend, reasons[-1])
        if failed is not None:
            return failed
        raise UpstreamUnreachable(f"no backend of model '{request.model}' answered: " + "; ".join(reasons))

    def states(self) -> dict[str, Sequence[BackendState]]:
        """Return the backends of every model, by the model's name."""
        return {
            model: [
                BackendState(
                    name=backend.name,
                    address=f"{backend.url.host}:{backend.url.port}",
                    weight=backend.weight,
                    cooling=pool.balancer.cooling(index),
                )
                for index, backend in enumerate(pool.backends)
            ]
            for model, pool in self._pools.items()
        }

    async def check(self) -> None:
        """Prove that every model has a backend that takes connections.

        Raises:
            UpstreamUnreachable: It names the models without one.
        """
        models = {name: pool.backends for name, pool in self._pools.items()}
        await check_backends(models, patience=PROBE_SECONDS)

    async def aclose(self) -> None:
        """Close all connections; calling it again does nothing."""
        self._closed = True
        for session in self._sessions.values():
            await session.close()

    def _note_failover(self, model: str, backend: Backend, reason: str) -> None:
        logger.warning("trying the next backend of model '%s': %s", model, reason)
        if self._on_failover is not None:
            self._on_failover(model=model, backend=backend.name)

    async def _ask_traced(self, backend: Backend, request: UpstreamRequest) -> HttpReply:
        """Ask one backend within a span of its own, which it is told of."""
        attributes: Attributes = {
            "http.request.method": "POST",
            "server.address": backend.url.host or "",
            "server.port": backend.url.port or 0,
            "memrouter.backend": backend.name,
        }
        with self._tracer.span("POST", attributes, client=True) as span:
            reply = await self._ask(backend, replace(request, headers=self._tracer.carried(request.headers)))
            span.set("http.response.status_code", reply.status)
            if reply.status >= _SERVER_ERROR:
                span.fail(str(reply.status))
            return reply

    async def _ask(self, backend: Backend, request: UpstreamRequest) -> HttpReply:
        """Return the answer of one backend; the border at which errors of the HTTP library end."""
        try:
            response = await self._post(backend, request)
        except aiohttp.ConnectionTimeoutError as error:
            why = f"it does not answer, or all {self._connections} connections to it are in use"
            raise UpstreamUnreachable(f"{backend} gave no connection in {self._connect_timeout:g} s: {why}") from error
        except TimeoutError as error:
            raise UpstreamTimeout(f"{backend} took the request and kept silent for {request.timeout:g} s") from error
        except aiohttp.ClientConnectorError as error:
            raise UpstreamUnreachable(f"{backend} cannot be connected to: {_reason(error)}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamUnreachable(f"{backend} broke off before it answered: {_reason(error)}") from error
        return HttpReply(response, backend=backend, timeout=request.timeout)

    async def _post(self, backend: Backend, request: UpstreamRequest) -> aiohttp.ClientResponse:
        attempt = _Attempt()
        try:
            return await self._post_once(self._session(keep=True), backend, request, attempt)
        except aiohttp.ClientConnectionError as error:
            if isinstance(error, TimeoutError) or not attempt.reused:
                raise
            # The server closed an idle connection while the request was on its way: that says nothing about its health.
            return await self._post_once(self._session(keep=False), backend, request, attempt)

    async def _post_once(
        self, session: aiohttp.ClientSession, backend: Backend, request: UpstreamRequest, attempt: _Attempt
    ) -> aiohttp.ClientResponse:
        private = self._private | backend.replaced
        # Silence is measured on the socket; the outer limit ends a backend that does not even take the body.
        async with asyncio.timeout(self._connect_timeout + request.timeout):
            return await session.post(
                backend.url,
                data=request.body if len(request.body) <= _WHOLE_BYTES else io.BytesIO(request.body),
                headers=outgoing(request.headers, private=private, own=backend.headers),
                skip_auto_headers=_NO_AUTO_HEADERS,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(connect=self._connect_timeout, sock_read=request.timeout),
                trace_request_ctx=attempt,
            )

    def _session(self, *, keep: bool) -> aiohttp.ClientSession:
        """Return the session that keeps its connections, or the one that opens a new one each time."""
        if self._closed:
            raise UpstreamUnreachable("the router is closing its connections")
        if keep not in self._sessions:
            trace = aiohttp.TraceConfig()
            trace.on_connection_reuseconn.append(_note_reuse)
            self._sessions[keep] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=self._connections, force_close=not keep),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trace_configs=[trace],
            )
        return self._sessions[keep]


async def _note_reuse(
    _session: aiohttp.ClientSession, context: object, _params: aiohttp.TraceConnectionReuseconnParams
) -> None:
    attempt = getattr(context, "trace_request_ctx", None)
    if isinstance(attempt, _Attempt):
        attempt.reused = True


async def _close(reply: HttpReply | None) -> None:
    if reply is not None:
        await reply.aclose()


def _reason(error: BaseException) -> str:
    """Return what went wrong in the system's words; never a body."""
    return getattr(error, "strerror", None) or type(error).__name__
