"""Asking a configured model for a piece of work: one request, one bounded answer, and what it cost."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from memrouter.embeddings.tokens import TokenCounter
from memrouter.errors import UpstreamError, UpstreamTimeout
from memrouter.models.turn import ModelChoice
from memrouter.upstream.base import ChatUpstream, UpstreamReply, UpstreamRequest
from memrouter.upstream.reply import ReplyReader

MAX_REPLY_BYTES: Final = 256 * 1024
"""Largest body of an answer; a larger one is a failure."""

_MAX_TOKENS_COUNTED: Final = 1_000_000

Message = Mapping[str, str]
"""``role`` and ``content``."""


class UpstreamStatus(UpstreamError):
    """The model answered with an error.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, model: str, status: int) -> None:
        super().__init__(f"model '{model}' answered with status {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote.

    Attributes:
        text: Its words, thinking included; empty where the answer has another form.
        prompt_tokens: As the model server tells, counted here where it does not; 0 to 1,000,000.
        completion_tokens: The same for what was written.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class _Counted(msgspec.Struct):
    usage: _Usage


class HelperModel:
    """A model that does work for the router itself.

    Args:
        upstream: The model servers.
        model: Which one.
        max_tokens: Most tokens that it may write.
        timeout_ms: Most milliseconds for an answer.
        tokens: Counts tokens where the model server does not tell.
    """

    def __init__(
        self, upstream: ChatUpstream, *, model: ModelChoice, max_tokens: int, timeout_ms: int, tokens: TokenCounter
    ) -> None:
        self._upstream = upstream
        self._model = model
        self._max_tokens = max_tokens
        self._timeout_ms = timeout_ms
        self._tokens = tokens

    async def ask(self, messages: Sequence[Message], *, response_format: Mapping[str, object] | None = None) -> Written:
        """Return what the model writes.

        Args:
            messages: The conversation; half characters in it are replaced.
            response_format: As in OpenAI's API; None leaves it out.

        Raises:
            UpstreamTimeout: It took too long.
            UpstreamStatus: It answered with an error.
            UpstreamError: No backend answered, the answer broke off, or it is too large.
        """
        clean = [{**each, "content": _encodable(each["content"])} for each in messages]
        body: dict[str, object] = {
            "model": self._model.upstream_name,
            "messages": clean,
            "max_tokens": self._max_tokens,
            "temperature": 0,
            "stream": False,
        }
        if response_format is not None:
            body["response_format"] = response_format
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                raw = await self._answer(msgspec.json.encode(body))
        except TimeoutError:
            raise UpstreamTimeout(f"it took longer than {self._timeout_ms} ms") from None
        text = _text(raw)
        prompt, completion = await self._counted(raw, clean, text)
        return Written(text, prompt, completion)

    async def _answer(self, body: bytes) -> bytes:
        request = UpstreamRequest(model=self._model.name, body=body, headers={}, timeout=self._timeout_ms / 1000)
        reply = await self._upstream.send(request)
        try:
            if reply.status != 200:
                raise UpstreamStatus(self._model.name, reply.status)
            return await _bounded(reply)
        finally:
            await reply.aclose()

    async def _counted(self, raw: bytes, messages: Sequence[Message], text: str) -> tuple[int, int]:
        try:
            usage = msgspec.json.decode(raw, type=_Counted).usage
            counts = [usage.prompt_tokens, usage.completion_tokens]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            counts = await self._tokens.count_many(["\n".join(each["content"] for each in messages), text])
        prompt, completion = (min(max(count, 0), _MAX_TOKENS_COUNTED) for count in counts)
        return prompt, completion


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
