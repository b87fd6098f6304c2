"""POST /v1/chat/completions: hand the request to the exchange, relay what comes back."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from memrouter.api.body import read_body
from memrouter.api.caller import Access
from memrouter.api.chat_description import CREATE, CREATED
from memrouter.api.errors import CALLER_ERRORS, ErrorBody
from memrouter.api.exchange import ChatExchange
from memrouter.api.off_loop import off_loop
from memrouter.models.chat import ChatRequest
from memrouter.models.turn import Permission

CHAT_PATH: Final = "/v1/chat/completions"


class ChatEndpoint:
    """Answers chat requests.

    Args:
        exchange: Takes them through the pipeline.
        access: Says who asks.
        max_body_bytes: Largest body that is read.
    """

    def __init__(self, *, exchange: ChatExchange, access: Access, max_body_bytes: int) -> None:
        self._exchange = exchange
        self._access = access
        self._max_body_bytes = max_body_bytes

    async def __call__(self, request: Request) -> Response:
        """Answer one request; errors of the router leave in OpenAI's form, with the memory status if it is known."""
        begun = self._exchange.clock.monotonic()
        identity = await self._access.admit(request, Permission.CHAT)
        body = await read_body(request, self._max_body_bytes)
        chat = await off_loop(len(body), ChatRequest.parse, body)
        return await self._exchange.answer(request, chat, self._access.named_in_body(identity, chat.user), begun=begun)


def chat_routes(endpoint: ChatEndpoint, access: Access) -> APIRouter:
    """Return the OpenAI chat routes."""
    errors = {**CALLER_ERRORS, "default": {"model": ErrorBody, "description": "Any other error"}}
    router = APIRouter(tags=["chat"], dependencies=access.security(), responses=errors)
    router.add_api_route(
        CHAT_PATH,
        endpoint.__call__,
        methods=["POST"],
        response_class=Response,
        summary="Create a chat completion",
        description="OpenAI's chat completions; fields that the router does not know pass through untouched.",
        responses=CREATED,
        openapi_extra=CREATE,
    )
    return router
