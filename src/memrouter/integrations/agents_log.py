"""Keeps what was said in a session of the OpenAI Agents SDK, in order, among the small facts of the store.

Items that are added together are one entry, in as many pieces as it needs. The first piece is written last and taken
away first, and says how many of the items stand, so that no reader sees a part of what is added, and taking the last
item back rewrites no other piece. No agent framework is known here.
"""

import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from memrouter.clock import Clock
from memrouter.errors import InvalidRequest, StoreUnavailable
from memrouter.models.memory import Scope
from memrouter.stores.state import MAX_STATE_BYTES, StateStore

MAX_PIECES: Final = 1000
"""Most pieces of one entry: about 47 MB."""
ATTEMPTS: Final = 50
"""How often a change is tried where others write to the same session."""

_HEAD_BYTES: Final = 100
_PIECE_BYTES: Final = MAX_STATE_BYTES - _HEAD_BYTES

Item = dict[str, Any]


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """What stands before the first piece of an entry: how many of its items stand, and in how many pieces it is."""

    standing: int
    pieces: int


@dataclass(frozen=True, slots=True)
class _Entry:
    number: int
    version: int
    head: _Head
    data: bytes

    def items(self) -> Sequence[Item]:
        return msgspec.json.decode(self.data, type=list[Item])[: self.head.standing]

    def shorter(self) -> bytes:
        """Return the first piece without the last item that stands."""
        head = _Head(self.head.standing - 1, self.head.pieces)
        return msgspec.json.encode(head) + b"\n" + self.data[:_PIECE_BYTES]


class SessionLog:
    """The items of one session of one user.

    Args:
        state: Where.
        clock: Tells the time.
        scope: Whose session.
        session_id: Its name.
        keep_for: How long items are kept after they were added; None for ever.

    Raises:
        ValueError: ``keep_for`` is not positive.
    """

    def __init__(
        self, state: StateStore, clock: Clock, scope: Scope, session_id: str, *, keep_for: timedelta | None
    ) -> None:
        if keep_for is not None and keep_for <= timedelta(0):
            msg = "keep_for must be positive"
            raise ValueError(msg)
        self._state = state
        self._clock = clock
        self._space = f"{spaces_of(scope)}{_digest(session_id)}"
        self._keep_ms = None if keep_for is None else keep_for // timedelta(milliseconds=1)

    async def items(self) -> list[Item]:
        """Return all items, oldest first."""
        return [item for entry in await self._entries() for item in entry.items()]

    async def add(self, items: Sequence[Item]) -> None:
        """Add items, all or none.

        Raises:
            InvalidRequest: They are not JSON, or more than an entry can hold.
            StoreUnavailable: The store failed, or others wrote to this session without a pause.
        """
        if not items:
            return
        try:
            data = msgspec.json.encode(items)
        except (TypeError, ValueError):
            raise InvalidRequest("the items of a session must be plain data, as JSON has it", param="items") from None
        pieces = [data[start : start + _PIECE_BYTES] for start in range(0, len(data), _PIECE_BYTES)]
        if len(pieces) > MAX_PIECES:
            raise InvalidRequest(f"the items are larger than {MAX_PIECES * _PIECE_BYTES} bytes", param="items")
        head = msgspec.json.encode(_Head(len(items), len(pieces)))
        entries = await self._entries()
        number = entries[-1].number + 1 if entries else 0
        for _ in range(ATTEMPTS):
            if await self._write(number, [head + b"\n" + pieces[0], *pieces[1:]]):
                return
            number += 1
        raise _contended()

    async def pop(self) -> Item | None:
        """Take the last item away and return it; None where there is none.

        Raises:
            StoreUnavailable: The store failed, or others wrote to this session without a pause.
        """
        for _ in range(ATTEMPTS):
            entries = await self._entries()
            if not entries:
                return None
            last = entries[-1]
            item = last.items()[-1]
            if last.head.standing > 1:
                if await self._put(_key(last.number, 0), last.shorter(), if_version=last.version):
                    return item
            elif await self._state.remove(self._space, _key(last.number, 0), if_version=last.version):
                await self._remove_pieces(last.number, last.head.pieces)
                return item
        raise _contended()

    async def clear(self) -> None:
        """Remove everything."""
        await self._state.drop(self._space)

    async def _write(self, number: int, pieces: Sequence[bytes]) -> bool:
        """Write an entry under a number that is free; return whether it was."""
        # The last piece claims the number: it is written first, and only where nobody has it.
        for place in reversed(range(len(pieces))):
            if not await self._put(_key(number, place), pieces[place], if_version=0):
                await self._remove_pieces(number, len(pieces), above=place)
                return False
        return True

    async def _remove_pieces(self, number: int, count: int, *, above: int = 0) -> None:
        for place in range(above + 1, count):
            await self._state.remove(self._space, _key(number, place))

    async def _put(self, key: str, value: bytes, *, if_version: int) -> bool:
        now = self._clock.now_ms()
        expires_at = None if self._keep_ms is None else now + self._keep_ms
        version = await self._state.put(self._space, key, value, now=now, expires_at=expires_at, if_version=if_version)
        return version is not None

    async def _entries(self) -> Sequence[_Entry]:
        """Return the entries that are whole, in their order."""
        found: defaultdict[int, dict[int, tuple[bytes, int]]] = defaultdict(dict)
        async for entry in self._state.entries(self._space, now=self._clock.now_ms()):
            number, _, place = entry.key.partition(".")
            found[int(number)][int(place)] = (entry.value, entry.version)
        whole = (_whole(number, found[number]) for number in sorted(found))
        return [entry for entry in whole if entry is not None]


async def session_spaces(state: StateStore, scope: Scope) -> AsyncIterator[str]:
    """Give the names of the spaces that hold a user's sessions in a project."""
    async for space in state.spaces(spaces_of(scope)):
        yield space


def spaces_of(scope: Scope) -> str:
    """Return what the names of the spaces of a user's sessions in a project begin with."""
    return f"agents:{scope.owner}:{_digest(scope.project_id or '')}:"


def _whole(number: int, pieces: Mapping[int, tuple[bytes, int]]) -> _Entry | None:
    if 0 not in pieces:
        return None
    first, version = pieces[0]
    raw, _, data = first.partition(b"\n")
    head = msgspec.json.decode(raw, type=_Head)
    if any(place not in pieces for place in range(head.pieces)):
        return None
    return _Entry(number, version, head, data + b"".join(pieces[place][0] for place in range(1, head.pieces)))


def _key(number: int, place: int) -> str:
    return f"{number:010d}.{place:04d}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:32]


def _contended() -> StoreUnavailable:
    return StoreUnavailable("this session is being written to without a pause; try again later")
