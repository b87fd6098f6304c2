"""The routes of the Messages API."""

from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from memrouter.api.body import read_body
from memrouter.api.caller import Access
from memrouter.api.errors import error_kind, log_error
from memrouter.api.exchange import ChatExchange, Foreign
from memrouter.api.messages.chat_body import MessagesRequest, chat_body
from memrouter.api.messages.description import COUNT, COUNTED, CREATE, MESSAGE
from memrouter.api.messages.errors import REQUEST_ID_HEADER, MessagesErrorBody, anthropic_error
from memrouter.api.messages.token_estimate import IMAGE_TOKENS, countable
from memrouter.api.messages.writer import Message, MessagesTranslation
from memrouter.api.model_errors import error_descriptions
from memrouter.api.off_loop import off_loop
from memrouter.embeddings.tokens import TokenCounter
from memrouter.errors import MemrouterError
from memrouter.models.chat import ChatRequest
from memrouter.models.turn import Permission


class MessagesEndpoint:
    """Answers requests to ``/v1/messages``.

    Args:
        exchange: Takes them through the pipeline.
        access: Says who asks.
        tokens: Counts them.
        rng: Makes ids.
        max_body_bytes: Largest body that is read.
    """

    def __init__(
        self, *, exchange: ChatExchange, access: Access, tokens: TokenCounter, rng: Random, max_body_bytes: int
    ) -> None:
        self._exchange = exchange
        self._access = access
        self._tokens = tokens
        self._rng = rng
        self._max_body_bytes = max_body_bytes

    async def create(self, request: Request) -> Response:
        """Answer one request; every error leaves in Anthropic's form."""
        return await self._guarded(request, self._create)

    async def count_tokens(self, request: Request) -> Response:
        """Return about how many tokens a request has: by the router's own tokenizer, not the model's."""
        return await self._guarded(request, self._count)

    async def _create(self, request: Request) -> Response:
        begun = self._exchange.clock.monotonic()
        identity = await self._access.admit(request, Permission.CHAT)
        body = await read_body(request, self._max_body_bytes)
        asked, chat = await off_loop(len(body), _read, body)
        message = Message(f"msg_{self._rng.getrandbits(128):032x}", asked.model)
        translation = MessagesTranslation(
            message, stream=asked.stream, stops=asked.stops, request_id=_request_id(request)
        )
        foreign = Foreign(translation=translation, error_form=anthropic_error)
        return await self._exchange.answer(request, chat, identity, begun=begun, foreign=foreign)

    async def _count(self, request: Request) -> Response:
        await self._access.admit(request, Permission.CHAT)
        body = await read_body(request, self._max_body_bytes)
        _, chat = await off_loop(len(body), partial(_read, counting=True), body)
        text, images = await off_loop(len(body), countable, chat.body)
        (count,) = await self._tokens.count_many([text])
        return JSONResponse(
            {"input_tokens": count + images * IMAGE_TOKENS}, headers={REQUEST_ID_HEADER: _request_id(request)}
        )

    async def _guarded(self, request: Request, work: Callable[[Request], Awaitable[Response]]) -> Response:
        try:
            return await work(request)
        except MemrouterError as error:
            log_error(error)
            self._exchange.metrics.error(error_kind(error))
            return anthropic_error(error, request_id=_request_id(request))


def _read(body: bytes, *, counting: bool = False) -> tuple[MessagesRequest, ChatRequest]:
    asked = MessagesRequest.parse(body, counting=counting)
    return asked, ChatRequest.parse(chat_body(asked))


def _request_id(request: Request) -> str:
    return str(request.scope["state"]["request_id"])


def messages_routes(endpoint: MessagesEndpoint, access: Access) -> APIRouter:
    """Return the routes."""
    errors = error_descriptions(MessagesErrorBody, status_529="The router or the model server cannot serve now")
    router = APIRouter(tags=["messages"], dependencies=access.security(), responses=errors)
    router.add_api_route(
        "/v1/messages",
        endpoint.create,
        methods=["POST"],
        response_class=Response,
        summary="Create a message",
        description="Anthropic's Messages API over the models' chat completions.",
        responses=MESSAGE,
        openapi_extra=CREATE,
    )
    router.add_api_route(
        "/v1/messages/count_tokens",
        endpoint.count_tokens,
        methods=["POST"],
        response_class=Response,
        summary="Estimate the tokens of a message",
        responses=COUNTED,
        openapi_extra=COUNT,
    )
    return router
