"""A user's memories as a running router shows and changes them."""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from pydantic import BaseModel

from memrouter.api.memory_conversations import DeleteParams, ListParams
from memrouter.api.memory_forms import MemoryChange, NewMemory, Replacement, Search
from memrouter.errors import MemrouterError

Answer = dict[str, Any]
"""JSON as the HTTP API gives it."""

MAX_ANSWER_BYTES = 64 * 1024 * 1024


class RemoteDesk:
    """The memories that a running router shows; satisfies ``MemoryDesk``.

    Args:
        session: Sends the headers that say who is asking; closed by whoever opened it.
        url: Address of the router, such as ``http://127.0.0.1:8888``.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._memories = f"{url.rstrip('/').removesuffix('/v1')}/v1/memory"

    async def search(self, form: Search) -> Answer:
        """Return what a search finds."""
        return await self._ask("POST", "/search", json=_body(form))

    async def page(self, params: ListParams) -> Answer:
        """Return a page of memories, newest first."""
        return await self._ask("GET", "", params=_query(params))

    async def show(self, memory_id: str) -> Answer:
        """Return one memory."""
        return await self._ask("GET", _one(memory_id))

    async def add(self, new: NewMemory) -> Answer:
        """Remember something; return what became of it."""
        return await self._ask("POST", "", json=_body(new))

    async def change(self, memory_id: str, change: MemoryChange) -> Answer:
        """Change one memory and return it."""
        return await self._ask("PATCH", _one(memory_id), json=_body(change))

    async def supersede(self, memory_id: str, new: Replacement) -> Answer:
        """Put a new fact in the place of a memory and return the memory that holds it."""
        return await self._ask("POST", f"{_one(memory_id)}/supersede", json=_body(new))

    async def undo(self, memory_id: str) -> Answer:
        """Take back a replacement and return the memory that is found again."""
        return await self._ask("POST", f"{_one(memory_id)}/undo")

    async def release(self, memory_id: str) -> Answer:
        """Let a quarantined memory be found and return it."""
        return await self._ask("POST", f"{_one(memory_id)}/release")

    async def history(self, memory_id: str) -> Answer:
        """Return what happened to a memory."""
        return await self._ask("GET", f"{_one(memory_id)}/history")

    async def forget(self, memory_id: str) -> Answer:
        """Remove one memory."""
        return await self._ask("DELETE", _one(memory_id))

    async def forget_conversation(self, params: DeleteParams) -> Answer:
        """Remove everything that came from a conversation."""
        return await self._ask("DELETE", "", params=_query(params))

    async def _ask(self, method: str, path: str, **options: Any) -> Answer:
        """Return the answer of the router.

        Raises:
            MemrouterError: There is none, or it is an error; the message says which.
        """
        try:
            async with self._session.request(method, self._memories + path, **options) as reply:
                status, body = reply.status, await reply.content.read(MAX_ANSWER_BYTES + 1)
                while len(body) <= MAX_ANSWER_BYTES and (more := await reply.content.read(MAX_ANSWER_BYTES)):
                    body += more
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise MemrouterError(f"no answer from the router at {self._memories}: {_reason(error)}") from None
        if status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise MemrouterError(f"the router answered with status {status}: {_message(body)}")
        try:
            answer: Answer = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise MemrouterError(f"{self._memories} is no memrouter: it sent something else than JSON") from None
        return answer


def _one(memory_id: str) -> str:
    return f"/{quote(memory_id, safe='')}"


def _body(form: BaseModel) -> Answer:
    return form.model_dump(mode="json", exclude_unset=True)


def _query(params: BaseModel) -> list[tuple[str, str]]:
    given = params.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return [
        (name, str(each).lower() if isinstance(each, bool) else str(each))
        for name, value in given.items()
        for each in (value if isinstance(value, list) else [value])
    ]


def _message(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError, IndexError):
        return "it is no memrouter, or something in front of it refused"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
