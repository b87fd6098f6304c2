"""One request to a model, whatever API it came by: open the pipeline, relay the answer, close the turn.

The way in for every API. An endpoint makes a ``ChatRequest`` of its body and calls ``ChatExchange.answer``; one whose
answers have another form than chat completions gives a ``Translation`` along. ``/v1/chat/completions`` gives none: its
answers are relayed byte for byte.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from memrouter.api.errors import error_kind, error_response, log_error
from memrouter.api.hangup import ClientGone, Hangup
from memrouter.api.relay import RelayResponse
from memrouter.api.translation import Translation
from memrouter.clock import Clock
from memrouter.errors import MemrouterError
from memrouter.models.chat import ChatDraft, ChatRequest
from memrouter.models.turn import Identity, Reply, Turn
from memrouter.observability.metrics import Metrics
from memrouter.router.pipeline import Pipeline
from memrouter.upstream.base import UpstreamReply
from memrouter.upstream.reply import ReplyReader

CLIENT_GONE_STATUS = 499


class ErrorForm(Protocol):
    """Says an error in an API's own form."""

    def __call__(self, error: MemrouterError, *, request_id: str, headers: Mapping[str, str]) -> Response:
        """Return the response for an error, with further headers."""
        ...


@dataclass(frozen=True, slots=True)
class Foreign:
    """What an API beside chat completions needs of an exchange.

    Attributes:
        translation: Makes its answers from chat completions.
        error_form: How it says errors; OpenAI's form by default.
        session: See ``Turn.session``.
        auto_store: See ``Turn.auto_store``.
        closing: Awaited when the answer is whole and only its last bytes are still to be sent; must not raise.
    """

    translation: Translation
    error_form: ErrorForm = error_response
    session: str = ""
    auto_store: bool | None = None
    closing: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class ChatExchange:
    """Takes requests through the pipeline.

    Attributes:
        pipeline: The way of a request.
        metrics: Counts overhead and memory statuses.
        clock: Tells the time.
        max_silence: Seconds that the upstream may stay silent.
    """

    pipeline: Pipeline
    metrics: Metrics
    clock: Clock
    max_silence: float

    async def answer(
        self,
        request: Request,
        chat: ChatRequest,
        identity: Identity,
        *,
        begun: float,
        foreign: Foreign | None = None,
    ) -> Response:
        """Answer one request; errors of the router leave in the API's form, with the memory status if it is known.

        Args:
            request: Its body has been read.
            chat: What is asked of the model.
            identity: Who asks.
            begun: When the request arrived, by ``clock.monotonic``.
            foreign: For another API than chat completions.
        """
        turn = _turn(request, chat, identity, foreign)
        hangup = Hangup(request.receive)
        try:
            upstream = await hangup.guard(self.pipeline.open(turn, max_silence=self.max_silence))
        except ClientGone:
            hangup.release()
            return Response(status_code=CLIENT_GONE_STATUS)
        except MemrouterError as error:
            hangup.release()
            log_error(error)
            self.metrics.error(error_kind(error))
            form = error_response if foreign is None else foreign.error_form
            overhead = self._overhead(turn, begun)
            self._count(turn, overhead)
            return form(error, request_id=turn.request_id, headers=_headers(turn, overhead))
        except BaseException:
            hangup.release()
            raise
        return self._relay(turn, upstream, hangup, self._overhead(turn, begun), foreign)

    def _relay(
        self, turn: Turn, upstream: UpstreamReply, hangup: Hangup, overhead: float, foreign: Foreign | None
    ) -> RelayResponse:
        async def finish(reply: Reply) -> None:
            self.metrics.upstream(model=turn.model.name, backend=upstream.backend, seconds=turn.upstream_seconds)
            self._count(turn, overhead)
            await self.pipeline.finish(turn, reply)

        return RelayResponse(
            upstream,
            extra_headers=[(name.encode(), value.encode()) for name, value in _headers(turn, overhead).items()],
            request_id=turn.request_id,
            hangup=hangup,
            reader=ReplyReader.for_headers(upstream.headers, stream=turn.request.stream),
            finish=finish,
            translation=None if foreign is None else foreign.translation,
            closing=None if foreign is None else foreign.closing,
        )

    def _overhead(self, turn: Turn, begun: float) -> float:
        """Return the seconds that the router has added so far."""
        return self.clock.monotonic() - begun - turn.upstream_seconds

    def _count(self, turn: Turn, overhead: float) -> None:
        self.metrics.router_overhead(overhead)
        if turn.memory is not None:
            self.metrics.memory_status(turn.memory.status, turn.decision)


def _headers(turn: Turn, overhead: float) -> dict[str, str]:
    """Return the headers that tell what the router did."""
    headers = {
        "x-vsr-selected-decision": _ascii(turn.decision),
        "x-vsr-selected-model": _ascii(turn.model.name),
        "x-router-overhead-ms": f"{overhead * 1000:.3f}",
    }
    if turn.memory is not None:
        headers |= {
            "x-memory-status": turn.memory.status.value,
            "x-memory-count": str(turn.memory.count),
            "x-memory-latency-ms": f"{turn.memory.seconds * 1000:.3f}",
        }
    return headers


def _turn(request: Request, chat: ChatRequest, identity: Identity, foreign: Foreign | None) -> Turn:
    headers = _join(request.scope["headers"])
    if foreign is not None:
        headers["accept-encoding"] = "identity"  # the answer has to be read to be translated
    return Turn(
        request=chat,
        identity=identity,
        headers=headers,
        request_id=request.scope["state"]["request_id"],
        path=request.scope["path"],
        draft=ChatDraft(chat),
        session="" if foreign is None else foreign.session,
        auto_store=None if foreign is None else foreign.auto_store,
    )


def _join(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by name; those given more than once are joined as RFC 9110, 5.3 allows."""
    joined: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return joined


def _ascii(name: str) -> str:
    return name if name.isascii() else name.encode("ascii", "backslashreplace").decode()
