"""Scores from a ``/v1/rerank`` endpoint in the form of Cohere and Jina: vLLM, Jina, Cohere and others."""

from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec

from memrouter.config.reranking import RerankerSettings
from memrouter.errors import RerankError
from memrouter.rerankers.base import MAX_QUERY_CHARS, MAX_TEXT_CHARS, readable
from memrouter.rerankers.endpoint_reply import parse_reply

MAX_REPLY_BYTES: Final = 4 * 1024 * 1024
"""Largest answer that is read; some endpoints send the texts back."""

_HINTS: Final = {
    401: "check api_key or api_key_env",
    403: "check api_key or api_key_env",
    404: "check base_url (it ends in /v1) and model",
}


class EndpointReranker:
    """Asks an endpoint; satisfies ``Reranker``. No error names a text, the key or the address.

    Nothing is tried twice: the order without re-ranking is at hand, and the user is waiting.

    Args:
        settings: Where; the caller limits the time.
        api_key: Sent as a bearer token; None sends none.
    """

    def __init__(self, settings: RerankerSettings, *, api_key: str | None) -> None:
        self._url = f"{settings.base_url.rstrip('/')}/rerank"
        self._model = settings.model
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return one finite number for each text.

        Raises:
            RerankError: The endpoint cannot be reached, refused or sent something unusable.
        """
        if not texts:
            return []
        return parse_reply(await self._post(self._request(query, texts)), count=len(texts))

    async def aclose(self) -> None:
        """Close the connections; calling it again does nothing."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _request(self, query: str, texts: Sequence[str]) -> bytes:
        body = {
            "model": self._model,
            "query": readable(query, MAX_QUERY_CHARS),
            "documents": [readable(text, MAX_TEXT_CHARS) for text in texts],
            "top_n": len(texts),
            "return_documents": False,
        }
        return msgspec.json.encode(body)

    async def _post(self, request: bytes) -> bytes:
        try:
            async with self._open_session().post(
                self._url, data=request, headers=self._headers, allow_redirects=False
            ) as response:
                status, body = response.status, await _bounded(response)
        except (aiohttp.ClientError, OSError) as error:
            raise RerankError(f"no answer from the rerank endpoint ({type(error).__name__})") from None
        if status == 200:
            return body
        message = f"the rerank endpoint answered with status {status}"
        raise RerankError(f"{message}; {_HINTS[status]}" if status in _HINTS else message)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RerankError("the reranker is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_REPLY_BYTES:
            raise RerankError(f"the rerank endpoint sent more than {MAX_REPLY_BYTES} bytes")
    return bytes(body)
