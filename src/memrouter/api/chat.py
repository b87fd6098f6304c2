"""POST /v1/chat/completions: hand the request to the pipeline, relay what comes back."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from memrouter.api.auth import Authenticator
from memrouter.api.body import read_body
from memrouter.api.errors import error_kind, error_response, log_error
from memrouter.api.hangup import ClientGone, Hangup
from memrouter.api.relay import RelayResponse
from memrouter.clock import Clock
from memrouter.errors import MemrouterError
from memrouter.models.chat import ChatDraft, ChatRequest
from memrouter.models.turn import Reply, Turn
from memrouter.observability.metrics import Metrics
from memrouter.router.pipeline import Pipeline
from memrouter.upstream.base import UpstreamReply
from memrouter.upstream.reply import ReplyReader

CLIENT_GONE_STATUS = 499


class ChatEndpoint:
    """Answers chat requests.

    Args:
        pipeline: The way of a request.
        authenticator: Says who asks.
        metrics: Counts overhead and memory statuses.
        clock: Tells the time.
        max_body_bytes: Largest body that is read.
        max_silence: Seconds that the upstream may stay silent.
    """

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        authenticator: Authenticator,
        metrics: Metrics,
        clock: Clock,
        max_body_bytes: int,
        max_silence: float,
    ) -> None:
        self._pipeline = pipeline
        self._authenticator = authenticator
        self._metrics = metrics
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        self._max_silence = max_silence

    async def __call__(self, request: Request) -> Response:
        """Answer one request; errors of the router leave in OpenAI's form, with the memory status if it is known."""
        begun = self._clock.monotonic()
        turn = await self._turn(request)
        hangup = Hangup(request.receive)
        try:
            upstream = await hangup.guard(self._pipeline.open(turn, max_silence=self._max_silence))
        except ClientGone:
            hangup.release()
            return Response(status_code=CLIENT_GONE_STATUS)
        except MemrouterError as error:
            hangup.release()
            log_error(error)
            self._metrics.error(error_kind(error))
            return error_response(error, request_id=turn.request_id, headers=self._headers(turn, begun))
        except BaseException:
            hangup.release()
            raise
        self._metrics.upstream(model=turn.model.name, backend=upstream.backend, seconds=turn.upstream_seconds)
        return self._relay(turn, upstream, hangup, self._headers(turn, begun))

    async def _turn(self, request: Request) -> Turn:
        identity = self._authenticator.identify(request.scope["headers"], request.scope.get("client"))
        body = await read_body(request, self._max_body_bytes)
        chat = ChatRequest.parse(body)
        return Turn(
            request=chat,
            identity=identity,
            headers=_join(request.scope["headers"]),
            request_id=request.scope["state"]["request_id"],
            path=request.scope["path"],
            draft=ChatDraft(chat),
        )

    def _relay(self, turn: Turn, upstream: UpstreamReply, hangup: Hangup, headers: Mapping[str, str]) -> RelayResponse:
        async def finish(reply: Reply) -> None:
            await self._pipeline.finish(turn, reply)

        return RelayResponse(
            upstream,
            extra_headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            request_id=turn.request_id,
            hangup=hangup,
            reader=ReplyReader.for_headers(upstream.headers, stream=turn.request.stream),
            finish=finish,
        )

    def _headers(self, turn: Turn, begun: float) -> dict[str, str]:
        """Count the request and return the headers that tell what the router did."""
        overhead = self._clock.monotonic() - begun - turn.upstream_seconds
        self._metrics.router_overhead(overhead)
        headers = {
            "x-vsr-selected-decision": _ascii(turn.decision),
            "x-vsr-selected-model": _ascii(turn.model.name),
            "x-router-overhead-ms": f"{overhead * 1000:.3f}",
        }
        if turn.memory is not None:
            self._metrics.memory_status(turn.memory.status, turn.decision)
            headers |= {
                "x-memory-status": turn.memory.status.value,
                "x-memory-count": str(turn.memory.count),
                "x-memory-latency-ms": f"{turn.memory.seconds * 1000:.3f}",
            }
        return headers


def _join(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by name; those given more than once are joined as RFC 9110, 5.3 allows."""
    joined: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return joined


def _ascii(name: str) -> str:
    return name.encode("ascii", "backslashreplace").decode()


def chat_routes(endpoint: ChatEndpoint) -> APIRouter:
    """Return the OpenAI chat routes."""
    router = APIRouter(tags=["chat"])
    router.add_api_route(
        "/v1/chat/completions",
        endpoint.__call__,
        methods=["POST"],
        response_class=Response,
        summary="Create a chat completion",
        description="OpenAI's chat completions; fields that the router does not know pass through untouched.",
    )
    return router
