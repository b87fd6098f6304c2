"""The routes of the Responses API."""

import asyncio
import logging
from dataclasses import dataclass, replace
from random import Random
from typing import Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from memrouter.api.body import read_body
from memrouter.api.caller import Access
from memrouter.api.errors import ErrorBody
from memrouter.api.exchange import ChatExchange, Foreign
from memrouter.api.model_errors import error_descriptions
from memrouter.api.off_loop import off_loop
from memrouter.api.responses.chains import Chain, ResponseChains
from memrouter.api.responses.chat_body import ResponsesRequest, chat_body
from memrouter.api.responses.description import CREATE, CREATED, OBJECT, PAGE
from memrouter.api.responses.items import Item, items_of, named, resolved
from memrouter.api.responses.page import page_of
from memrouter.api.responses.reply import Answer
from memrouter.api.responses.writer import ResponsesTranslation
from memrouter.errors import InvalidRequest, NotFound, StoreError, Unauthenticated
from memrouter.memory.turns.conversation import conversation_id
from memrouter.models.chat import ChatRequest
from memrouter.models.memory import Scope
from memrouter.models.turn import Permission
from memrouter.router.builtin.memory_plugin import SESSION_HEADER

logger = logging.getLogger(__name__)

KEEP_SECONDS: Final = 5.0
"""Longest time that the last bytes of an answer wait for the store."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request, ready to be sent.

    Attributes:
        request: The checked body.
        items: What was sent, each with an id.
        chain: What stands before it.
        chat: The same as a chat request.
        begun_at: When it came, in milliseconds since the epoch.
    """

    request: ResponsesRequest
    items: list[Item]
    chain: Chain
    chat: ChatRequest
    begun_at: int


class ResponsesEndpoint:
    """Answers requests to ``/v1/responses``.

    Args:
        exchange: Takes them through the pipeline.
        access: Says who asks.
        chains: Keeps responses; None where nothing is kept.
        rng: Makes ids.
        max_body_bytes: Largest body that is read.
    """

    def __init__(
        self,
        *,
        exchange: ChatExchange,
        access: Access,
        chains: ResponseChains | None,
        rng: Random,
        max_body_bytes: int,
    ) -> None:
        self._exchange = exchange
        self._access = access
        self._chains = chains
        self._rng = rng
        self._max_body_bytes = max_body_bytes

    async def create(self, request: Request) -> Response:
        """Answer one request; what is kept of it is kept before its last byte is sent."""
        begun = self._exchange.clock.monotonic()
        identity = await self._access.admit(request, Permission.CHAT)
        body = await read_body(request, self._max_body_bytes)
        sent = await off_loop(len(body), ResponsesRequest.parse, body)
        identity = self._access.named_in_body(identity, sent.user)
        scope = identity.scope
        asked = await self._asked(sent, scope, len(body))
        answer = Answer(asked.request, self._new_id("resp"), asked.begun_at // 1000, self._new_id)

        session = _session(asked, answer.id)

        async def keep() -> None:
            if scope is not None and asked.request.store and answer.status != "failed":
                named = request.headers.get(SESSION_HEADER) or session
                conversation = conversation_id(asked.chat, session=named, scope=scope)
                await self._keep(scope, asked, answer, conversation)

        foreign = Foreign(
            translation=ResponsesTranslation(answer),
            session=session,
            auto_store=asked.request.auto_store,
            closing=keep,
        )
        return await self._exchange.answer(request, asked.chat, identity, begun=begun, foreign=foreign)

    async def show(self, request: Request, response_id: str) -> Response:
        """Return a response that was kept; it is not streamed again."""
        if request.query_params.get("stream", "false").lower() != "false":
            raise InvalidRequest("stream: a kept response is not streamed again", param="stream")
        chains, scope = await self._open(request)
        return _json((await chains.get(scope, response_id)).response)

    async def delete(self, request: Request, response_id: str) -> Response:
        """Remove a response; those that build upon it stay, and go on without it."""
        chains, scope = await self._open(request)
        await chains.remove(scope, response_id)
        return _json({"id": response_id, "object": "response.deleted", "deleted": True})

    async def input_items(self, request: Request, response_id: str) -> Response:
        """Return what was sent with a response, newest first unless `order=asc`."""
        chains, scope = await self._open(request)
        return _json(page_of((await chains.get(scope, response_id)).input, request.query_params))

    async def _open(self, request: Request) -> tuple[ResponseChains, Scope]:
        scope = (await self._access.admit(request, Permission.CHAT)).scope
        if scope is None:
            raise Unauthenticated("nobody is identified, and responses are kept for known users only")
        if self._chains is None:
            raise NotFound("this server keeps no responses", code="response_not_found", param="response_id")
        return self._chains, scope

    async def _asked(self, sent: ResponsesRequest, scope: Scope | None, size: int) -> _Asked:
        begun_at = self._exchange.clock.now_ms()
        chain = Chain() if sent.previous is None else await self._chain(scope, sent.previous)
        kept = sent.store and scope is not None and self._chains is not None

        def prepared() -> _Asked:
            request = replace(sent, store=kept)
            items = [named(item, self._new_id) for item in resolved(items_of(sent.fields["input"]), chain.items)]
            chat = ChatRequest.parse(chat_body(request, items, history=chain.items))
            return _Asked(request, items, chain, chat, begun_at)

        return await off_loop(size + chain.size, prepared)

    async def _chain(self, scope: Scope | None, previous: str) -> Chain:
        if scope is None or self._chains is None:
            raise NotFound(
                "this server keeps responses only with memory switched on, and for known users; send the whole "
                "conversation as input",
                code="previous_response_not_found",
                param="previous_response_id",
            )
        try:
            return await self._chains.chain(scope, previous)
        except NotFound as error:
            raise NotFound(str(error), code="previous_response_not_found", param="previous_response_id") from error

    async def _keep(self, scope: Scope, asked: _Asked, answer: Answer, conversation: str) -> None:
        """Keep a response; whatever goes wrong, the answer must be sent."""
        if self._chains is None:
            return
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                kept = await self._chains.keep(
                    scope,
                    answer.render(),
                    items=asked.items,
                    chain=asked.chain,
                    conversation=conversation,
                    begun_at=asked.begun_at,
                )
        except (StoreError, TimeoutError) as error:
            logger.warning("a response could not be kept: %s", str(error) or "the store is too slow")
        except Exception:
            logger.exception("a response could not be kept")
        else:
            if not kept:
                logger.info("a response was not kept: it is too large, or was deleted meanwhile")

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{self._rng.getrandbits(128):032x}"


def _session(asked: _Asked, answer_id: str) -> str:
    """Return the name of the conversation: its first response, or none where the client keeps the conversation."""
    if asked.chain.ids:
        return asked.chain.ids[0]
    begins = all(item.get("role") != "assistant" for item in asked.items)
    return answer_id if asked.request.store and begins else ""


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def responses_routes(endpoint: ResponsesEndpoint, access: Access) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["responses"], dependencies=access.security(), responses=error_descriptions(ErrorBody))
    add = router.add_api_route
    one = "/v1/responses/{response_id}"
    add(
        "/v1/responses",
        endpoint.create,
        methods=["POST"],
        response_class=Response,
        summary="Create a response",
        description="OpenAI's Responses API over the models' chat completions.",
        responses=CREATED,
        openapi_extra=CREATE,
    )
    add(one, endpoint.show, methods=["GET"], response_class=Response, summary="Show a response", responses=OBJECT)
    add(
        one, endpoint.delete, methods=["DELETE"], response_class=Response, summary="Delete a response", responses=OBJECT
    )
    add(
        f"{one}/input_items",
        endpoint.input_items,
        methods=["GET"],
        response_class=Response,
        summary="List what was sent with a response",
        responses=OBJECT,
        openapi_extra=PAGE,
    )
    return router
