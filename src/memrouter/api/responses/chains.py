"""Responses that can be asked for and built upon, kept in the memory store's state."""

import asyncio
import re
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from memrouter.api.responses.items import Item
from memrouter.clock import Clock
from memrouter.errors import InvalidRequest, NotFound
from memrouter.memory.storing.marks import ErasureMarks
from memrouter.models.memory import Scope
from memrouter.stores.state import MAX_STATE_BYTES, StateStore, conversation_space, responses_space

T = TypeVar("T")

MAX_CHAIN: Final = 500
"""Most responses of one chain."""

_ID: Final = re.compile(r"resp_[0-9a-f]{32}")
_AT_ONCE: Final = 32


class StoredResponse(msgspec.Struct, frozen=True):
    """One response with what belongs to it.

    Attributes:
        input: Items that were sent with it, each with an id.
        response: The object that was answered.
    """

    input: list[dict[str, Any]]
    response: dict[str, Any]

    @property
    def items(self) -> list[Item]:
        """Return what was sent, then what the model said."""
        return [*self.input, *self.response.get("output", ())]


class _Head(msgspec.Struct, frozen=True):
    """What stands under a response's id.

    Attributes:
        parts: How many entries hold it.
        chain_bytes: Size of the chain up to it.
        ancestors: Ids of the responses before it, the first one of the chain first.
        listed: The space that lists it among the responses of its conversation.
    """

    parts: int
    chain_bytes: int
    ancestors: list[str]
    listed: str


@dataclass(frozen=True, slots=True)
class Chain:
    """The conversation before a request.

    Attributes:
        ids: Ids of its responses, oldest first.
        items: What was said in them; what is gone meanwhile is left out.
        size: Its bytes.
    """

    ids: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()
    size: int = 0


_STORED: Final = msgspec.json.Decoder(StoredResponse)
_HEAD: Final = msgspec.json.Decoder(_Head)


class ResponseChains:
    """Keeps responses for their owners. All methods may raise ``StoreUnavailable``.

    Args:
        state: Where.
        clock: Tells the time.
        ttl_seconds: How long a response is kept.
        max_response_bytes: Largest response that is kept.
        max_chain_bytes: Largest chain that is built upon.
    """

    def __init__(
        self,
        state: StateStore,
        *,
        clock: Clock,
        ttl_seconds: float,
        max_response_bytes: int,
        max_chain_bytes: int,
    ) -> None:
        self._state = state
        self._marks = ErasureMarks(state)
        self._clock = clock
        self._ttl_ms = round(ttl_seconds * 1000)
        self._max_response_bytes = max_response_bytes
        self._max_chain_bytes = max_chain_bytes

    async def keep(
        self,
        scope: Scope,
        response: dict[str, Any],
        *,
        items: Sequence[Item],
        chain: Chain,
        conversation: str,
        begun_at: int,
    ) -> bool:
        """Keep a response; return whether that was done.

        It is not for one that is too large, nor where the user deleted the conversation, or everything, meanwhile.

        Args:
            scope: The owner, in one project.
            response: The object that was answered.
            items: What was sent with it, each with an id.
            chain: What it builds upon.
            conversation: Name of the conversation that it belongs to, with which it is deleted.
            begun_at: When the request came, in milliseconds since the epoch.
        """
        raw = msgspec.json.encode(StoredResponse([dict(item) for item in items], response))
        if len(raw) > self._max_response_bytes:
            return False
        now = self._clock.now_ms()
        space, name, until = responses_space(scope), str(response["id"]), now + self._ttl_ms
        parts = [raw[first : first + MAX_STATE_BYTES] for first in range(0, len(raw), MAX_STATE_BYTES)]
        listed = conversation_space(scope, conversation)
        await self._state.put(listed, name, str(len(parts)).encode(), now=now, expires_at=until)
        await _gathered(
            self._state.put(space, f"{name}.{number}", part, now=now, expires_at=until)
            for number, part in enumerate(parts)
        )
        head = _Head(len(parts), chain.size + len(raw), list(chain.ids), listed)
        await self._state.put(space, name, msgspec.json.encode(head), now=now, expires_at=until)
        if await self._marks.erased(scope, conversation_id=conversation, begun_at=begun_at, now=now):
            await self._remove(space, name, head)
            return False
        return True

    async def get(self, scope: Scope, response_id: str) -> StoredResponse:
        """Return a response.

        Raises:
            NotFound: Absent, expired or someone else's.
        """
        space = responses_space(scope)
        found = await self._find(space, response_id, await self._head(space, response_id))
        if found is None:
            raise _absent()
        return found

    async def chain(self, scope: Scope, response_id: str) -> Chain:
        """Return the conversation up to a response.

        Raises:
            NotFound: The response is absent, expired or someone else's.
            InvalidRequest: The chain is too long or too large.
        """
        space = responses_space(scope)
        head = await self._head(space, response_id)
        last = await self._find(space, response_id, head)
        if head is None or last is None:
            raise _absent()
        if len(head.ancestors) + 1 >= MAX_CHAIN or head.chain_bytes > self._max_chain_bytes:
            raise InvalidRequest(
                f"this chain has {len(head.ancestors) + 1} responses and {head.chain_bytes} bytes, and at most "
                f"{MAX_CHAIN} responses and {self._max_chain_bytes} bytes are built upon; begin a new one",
                code="chain_too_long",
                param="previous_response_id",
            )

        async def found(name: str) -> StoredResponse | None:
            return await self._find(space, name, await self._head(space, name))

        before = await _gathered(map(found, head.ancestors))
        items = tuple(item for stored in (*before, last) if stored is not None for item in stored.items)
        return Chain((*head.ancestors, response_id), items, head.chain_bytes)

    async def remove(self, scope: Scope, response_id: str) -> None:
        """Remove a response.

        Raises:
            NotFound: Absent, expired or someone else's.
        """
        space = responses_space(scope)
        head = await self._head(space, response_id)
        if head is None:
            raise _absent()
        await self._remove(space, response_id, head)

    async def _remove(self, space: str, name: str, head: _Head) -> None:
        await self._state.remove(space, name)
        await _gathered(self._state.remove(space, f"{name}.{number}") for number in range(head.parts))
        await self._state.remove(head.listed, name)

    async def _head(self, space: str, name: str) -> _Head | None:
        if _ID.fullmatch(name) is None:
            return None
        entry = await self._state.get(space, name, now=self._clock.now_ms())
        return None if entry is None else _HEAD.decode(entry.value)

    async def _find(self, space: str, name: str, head: _Head | None) -> StoredResponse | None:
        if head is None:
            return None
        now = self._clock.now_ms()
        parts = await _gathered(self._state.get(space, f"{name}.{number}", now=now) for number in range(head.parts))
        raw = [part.value for part in parts if part is not None]
        return _STORED.decode(b"".join(raw)) if len(raw) == head.parts else None


async def _gathered(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Return what calls return, in their order; not too many are under way at once."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def done(call: Awaitable[T]) -> T:
        async with gate:
            return await call

    return await asyncio.gather(*map(done, calls))


def _absent() -> NotFound:
    return NotFound("no response with this id was found", code="response_not_found", param="response_id")
