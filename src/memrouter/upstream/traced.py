"""Model calls as spans, from the request to the last byte of the answer."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from memrouter.observability.tracing import Span, Tracer
from memrouter.upstream.base import ChatUpstream, UpstreamReply, UpstreamRequest

_SERVER_ERROR: Final = 500


class TracedUpstream:
    """Satisfies ``ChatUpstream``; behaves as ``inner`` does.

    Args:
        inner: The model servers.
        tracer: Makes the spans.
        purpose: What the answers are for: one of few words.
    """

    def __init__(self, inner: ChatUpstream, tracer: Tracer, *, purpose: str) -> None:
        self._inner = inner
        self._tracer = tracer
        self._purpose = purpose

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """See ``ChatUpstream.send``."""
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": request.model,
            "memrouter.purpose": self._purpose,
        }
        with self._tracer.span(f"chat {request.model}", attributes, client=True, lasting=True) as span:
            reply = await self._inner.send(request)
        span.set("http.response.status_code", reply.status)
        span.set("memrouter.backend", reply.backend)
        if reply.status >= _SERVER_ERROR:
            span.fail(str(reply.status))
        return _TracedReply(reply, span)

    async def aclose(self) -> None:
        """See ``ChatUpstream.aclose``."""
        await self._inner.aclose()


class _TracedReply:
    """Satisfies ``UpstreamReply``; its span ends with it."""

    def __init__(self, inner: UpstreamReply, span: Span) -> None:
        self._inner = inner
        self._span = span

    @property
    def status(self) -> int:
        return self._inner.status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        return self._inner.headers

    @property
    def backend(self) -> str:
        return self._inner.backend

    @property
    def ended(self) -> bool:
        return self._inner.ended

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner.chunks():
                yield chunk
        except Exception as error:
            self._span.fail(type(error).__name__)
            raise

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            self._span.end()
