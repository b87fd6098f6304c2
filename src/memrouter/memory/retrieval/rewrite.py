"""A message that leans on its conversation to a search text that stands on its own, by a small model."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from memrouter.clock import Clock
from memrouter.config.reranking import QueryRewriteSettings
from memrouter.embeddings.tokens import TokenCounter
from memrouter.errors import MemrouterError, UpstreamError
from memrouter.memory.retrieval.rewrite_prompt import rewrite_messages, search_text
from memrouter.memory.turns.conversation import PastTurn
from memrouter.models.turn import ModelChoice
from memrouter.stores.circuit import Circuit
from memrouter.upstream.base import ChatUpstream, UpstreamReply, UpstreamRequest
from memrouter.upstream.reply import ReplyReader

logger = logging.getLogger(__name__)

MAX_REPLY_BYTES: Final = 256 * 1024
PAUSE_SECONDS: Final = 5.0
"""Time for which a model that failed is not asked again."""

_MAX_TOKENS_COUNTED: Final = 1_000_000


class RewriteObserver(Protocol):
    """Counts what came of rewriting."""

    def query_rewritten(self, *, outcome: str, seconds: float) -> None:
        """Note one query: ``rewritten``, ``unchanged``, ``unusable``, ``failed``, ``timeout`` or ``skipped``."""
        ...

    def rewrite_tokens(self, *, prompt: int, completion: int) -> None:
        """Count the tokens of one answer."""
        ...


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class _Counted(msgspec.Struct):
    usage: _Usage


class QueryRewriter:
    """Rewrites queries; whatever happens, there is a query to search for.

    Args:
        upstream: The model servers.
        model: The model that writes.
        settings: Limits.
        tokens: Counts tokens where the model server does not tell.
        observer: Counts outcomes and tokens.
        clock: Times.
    """

    def __init__(
        self,
        upstream: ChatUpstream,
        *,
        model: ModelChoice,
        settings: QueryRewriteSettings,
        tokens: TokenCounter,
        observer: RewriteObserver,
        clock: Clock,
    ) -> None:
        self._upstream = upstream
        self._model = model
        self._settings = settings
        self._tokens = tokens
        self._observer = observer
        self._clock = clock
        self._max_seconds = settings.timeout_ms / 1000
        self._circuit = Circuit(clock=clock, pause=PAUSE_SECONDS)

    async def rewrite(self, history: Sequence[PastTurn], query: str) -> str:
        """Return what to search for: what the model wrote, or ``query``.

        The model is not asked where there is nothing to lean on, and for PAUSE_SECONDS after a failure.

        Args:
            history: The turns before the message, oldest first.
            query: The message.
        """
        if not history or not self._circuit.allows():
            self._observer.query_rewritten(outcome="skipped", seconds=0)
            return query
        begun = self._clock.monotonic()
        outcome, text = await self._ask(history[-self._settings.turns :], query)
        self._observer.query_rewritten(outcome=outcome, seconds=self._clock.monotonic() - begun)
        return query if text is None else text

    async def _ask(self, history: Sequence[PastTurn], query: str) -> tuple[str, str | None]:
        messages = rewrite_messages(history, query)
        try:
            async with asyncio.timeout(self._max_seconds):
                body = await self._answer(messages)
        except TimeoutError:
            self._failed(f"it took longer than {self._settings.timeout_ms} ms")
            return "timeout", None
        except MemrouterError as error:
            self._failed(str(error))
            return "failed", None
        if self._circuit.succeeded():
            logger.info("queries are rewritten again")
        answer = _text(body)
        await self._count(body, messages, answer)
        text = search_text(answer)
        if text is None:
            return "unusable", None
        return ("unchanged" if text == " ".join(query.split()) else "rewritten"), text

    async def _answer(self, messages: Sequence[dict[str, str]]) -> bytes:
        """Return the body of a good answer.

        Raises:
            UpstreamError: No backend answered, it answered with an error, or with too much.
        """
        body = msgspec.json.encode(
            {
                "model": self._model.upstream_name,
                "messages": [{**each, "content": _encodable(each["content"])} for each in messages],
                "max_tokens": self._settings.max_tokens,
                "temperature": 0,
                "stream": False,
            }
        )
        request = UpstreamRequest(model=self._model.name, body=body, headers={}, timeout=self._max_seconds)
        reply = await self._upstream.send(request)
        try:
            if reply.status != 200:
                raise UpstreamError(f"model '{self._model.name}' answered with status {reply.status}")
            return await _bounded(reply)
        finally:
            await reply.aclose()

    async def _count(self, body: bytes, messages: Sequence[dict[str, str]], answer: str) -> None:
        try:
            usage = msgspec.json.decode(body, type=_Counted).usage
            counts = [usage.prompt_tokens, usage.completion_tokens]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            counts = await self._tokens.count_many(["\n".join(each["content"] for each in messages), answer])
        prompt, completion = (min(max(count, 0), _MAX_TOKENS_COUNTED) for count in counts)
        self._observer.rewrite_tokens(prompt=prompt, completion=completion)

    def _failed(self, reason: str) -> None:
        if self._circuit.failed():
            logger.warning("messages are searched for as they are, without being rewritten: %s", reason)


async def _bounded(reply: UpstreamReply) -> bytes:
    body = bytearray()
    async for chunk in reply.chunks():
        body += chunk
        if len(body) > MAX_REPLY_BYTES:
            raise UpstreamError(f"the answer has more than {MAX_REPLY_BYTES} bytes")
    return bytes(body)


def _text(body: bytes) -> str:
    reader = ReplyReader(is_stream=False)
    reader.feed(body)
    reply = reader.reply(status=200, complete=True)
    return reply.text if reply.complete else ""


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
