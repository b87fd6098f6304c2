"""Vectors from any OpenAI-compatible ``/v1/embeddings`` endpoint: vLLM, TEI, OpenAI."""

import asyncio
import random
from collections.abc import Callable, Sequence

import aiohttp
import msgspec
import numpy as np

from memrouter.config.memory import EmbeddingEndpointSettings
from memrouter.embeddings.base import EmbedderInfo
from memrouter.embeddings.openai_reply import parse_reply
from memrouter.embeddings.vectors import embeddable, unit_rows
from memrouter.errors import EmbeddingError
from memrouter.models.memory import Matrix

_BACKOFF_SECONDS = 0.25
_INLINE_BYTES = 65_536
_HINTS = {
    401: "check api_key or api_key_env",
    403: "check api_key or api_key_env",
    404: "check base_url (it ends in /v1) and model",
}


class _Transient(EmbeddingError):
    """A failure that may pass; ``retry_after`` is the pause in seconds that the endpoint asked for."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OpenAIEmbedder:
    """Asks an endpoint, in batches, a few at a time.

    The first 16,384 bytes of a text count; texts of white space only are not sent and give the first basis vector. A
    batch is tried once more after 429, a 5xx or a broken connection, within the one timeout of the settings. No error
    names a text, the key or the address.

    Args:
        settings: Where and how; ``timeout`` holds for one batch with its second try.
        api_key: Sent as a bearer token; None sends none.
        session: Used but not closed; None opens one when it is first needed.
        concurrency: Most batches under way at a time.
        jitter: Gives a number from 0 to 1 that spreads the second tries of many callers.
    """

    def __init__(
        self,
        settings: EmbeddingEndpointSettings,
        *,
        api_key: str | None,
        session: aiohttp.ClientSession | None = None,
        concurrency: int = 4,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._url = f"{settings.base_url.rstrip('/')}/embeddings"
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._info = EmbedderInfo(settings.model, settings.dimension, settings.default_threshold)
        self._session = session
        self._owns_session = session is None
        self._closed = False
        self._slots = asyncio.Semaphore(concurrency)
        self._jitter = jitter

    @property
    def info(self) -> EmbedderInfo:
        """Return what this embedder is, as the settings say."""
        return self._info

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one unit row a text.

        Raises:
            EmbeddingError: The endpoint cannot be reached, refused, kept silent or sent something unusable.
        """
        cut = [embeddable(text) for text in texts]
        asked = [at for at, text in enumerate(cut) if text.strip()]
        size = self._settings.batch_size
        batches = [asked[start : start + size] for start in range(0, len(asked), size)]
        rows = np.zeros((len(cut), self._info.dimension), dtype=np.float32)
        try:
            async with asyncio.TaskGroup() as group:
                answers = [group.create_task(self._ask([cut[at] for at in batch])) for batch in batches]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        for batch, answer in zip(batches, answers, strict=True):
            rows[batch] = answer.result()
        return unit_rows(rows)

    async def aclose(self) -> None:
        """Close the session if it was opened here; calling it again does nothing."""
        self._closed = True
        if self._owns_session and self._session is not None:
            await self._session.close()

    async def _ask(self, texts: list[str]) -> Matrix:
        async with self._slots:
            try:
                async with asyncio.timeout(self._settings.timeout) as limit:
                    body = await self._fetch(texts, limit)
            except TimeoutError:
                raise EmbeddingError(
                    f"the embedding endpoint did not answer within {self._settings.timeout:g} s"
                ) from None
        if len(body) <= _INLINE_BYTES:
            return parse_reply(body, count=len(texts), dimension=self._info.dimension)
        return await asyncio.to_thread(parse_reply, body, count=len(texts), dimension=self._info.dimension)

    async def _fetch(self, texts: list[str], limit: asyncio.Timeout) -> bytes:
        request = self._request(texts)
        try:
            return await self._post(request)
        except _Transient as failure:
            pause = failure.retry_after
            if pause is None:
                pause = _BACKOFF_SECONDS * (1 + self._jitter())
            deadline = limit.when()
            if deadline is not None and asyncio.get_running_loop().time() + pause >= deadline:
                raise
        await asyncio.sleep(pause)
        return await self._post(request)

    def _request(self, texts: list[str]) -> bytes:
        body: dict[str, object] = {"model": self._settings.model, "input": texts, "encoding_format": "base64"}
        if self._settings.send_dimension:
            body["dimensions"] = self._settings.dimension
        return msgspec.json.encode(body)

    async def _post(self, request: bytes) -> bytes:
        try:
            async with self._open_session().post(
                self._url, data=request, headers=self._headers, allow_redirects=False
            ) as response:
                status, retry_after = response.status, _seconds(response.headers.get("Retry-After", ""))
                body = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise _Transient(f"no answer from the embedding endpoint ({type(error).__name__})") from None
        if status == 200:
            return body
        message = f"the embedding endpoint answered with status {status}"
        if status == 429 or status >= 500:
            raise _Transient(message, retry_after=retry_after)
        raise EmbeddingError(f"{message}; {_HINTS[status]}" if status in _HINTS else message)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise EmbeddingError("the embedder is closed")
        if self._session is None:
            # The timeout of a batch, its second try included, is kept in _ask.
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        return self._session


def _seconds(retry_after: str) -> float | None:
    """Return the seconds of a Retry-After header; None where it is absent, a date or nonsense."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
