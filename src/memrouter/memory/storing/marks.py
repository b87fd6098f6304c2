"""Marks of what was deleted of late, so that work which was under way then cannot bring it back."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from memrouter.memory.storing.extract import WINDOW_TURNS
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source, owner_key
from memrouter.stores.query import ALL_TYPES
from memrouter.stores.state import StateStore

LIFE_MS: Final = 3_600_000
"""How long a mark stands: far longer than any write is under way."""

_LATEST: Final = "latest"


@dataclass(frozen=True, slots=True)
class Erased:
    """What is deleted; every given part must hold.

    Attributes:
        scope: Of whom.
        types: Of which types.
        conversation_id: Only what came from this conversation; None for anything.
        ids: Only these memories; None for any.
        turns: Project, conversation and number of the turns that ``ids`` are of, whose text stands in windows too.
    """

    scope: Scope
    types: frozenset[MemoryType] = ALL_TYPES
    conversation_id: str | None = None
    ids: frozenset[str] | None = None
    turns: frozenset[tuple[str, str, int]] = frozenset()

    def keys(self) -> set[str]:
        """Return the names of its marks."""
        project = self.scope.project_id
        if self.ids is not None:
            turns = {_key("turn", project, conversation, str(number)) for project, conversation, number in self.turns}
            return turns | {_key("id", memory_id) for memory_id in self.ids}
        if self.conversation_id is not None:
            return {_key("conversation", project, self.conversation_id)}
        if self.types == ALL_TYPES:
            return {_key("all", project)}
        return {_key("type", project, kind) for kind in self.types}


class ErasureMarks:
    """Notes deletions, and says which memories one of them covers.

    Two requests that name times compare clocks, so routers of one store are to have theirs right within a second.

    Args:
        state: Where the marks are kept for all routers of the store.
    """

    def __init__(self, state: StateStore) -> None:
        self._state = state

    async def note(self, erased: Erased, *, now: int) -> None:
        """Note a deletion; to be called before it is made."""
        space = _space(erased.scope.user_id)
        for key in sorted(erased.keys() | {_LATEST}):
            await self._state.put(space, key, str(now).encode(), now=now, expires_at=now + LIFE_MS)

    async def covered(self, user_id: str, records: Iterable[MemoryRecord], *, begun_at: int, now: int) -> set[str]:
        """Return the ids of the records that were deleted at ``begun_at`` or later, or that what was deleted covers.

        One read where nothing of this user was deleted since then.
        """
        if await self.latest(user_id, now=now) < begun_at:
            return set()
        space = _space(user_id)
        times: dict[str, int] = {}
        gone: set[str] = set()
        for record in records:
            for key in _covering(record):
                if key not in times:
                    times[key] = await self._at(space, key, now)
                if times[key] >= begun_at:
                    gone.add(record.id)
        return gone

    async def latest(self, user_id: str, *, now: int) -> int:
        """Return when something of a user was last deleted, in milliseconds since the epoch; -1 if nothing of late."""
        return await self._at(_space(user_id), _LATEST, now)

    async def erased(self, scope: Scope, *, conversation_id: str, begun_at: int, now: int) -> bool:
        """Return whether a conversation, or everything of its project, was deleted at ``begun_at`` or later."""
        if await self.latest(scope.user_id, now=now) < begun_at:
            return False
        space = _space(scope.user_id)
        projects = (scope.project_id, None)
        keys = [_key("all", project) for project in projects]
        keys += [_key("conversation", project, conversation_id) for project in projects]
        return max([await self._at(space, key, now) for key in keys]) >= begun_at

    async def _at(self, space: str, key: str, now: int) -> int:
        entry = await self._state.get(space, key, now=now)
        return -1 if entry is None else int(entry.value)


def _covering(record: MemoryRecord) -> Iterable[str]:
    """Return the names of all marks that cover a memory."""
    for project in (record.project_id, None):
        yield _key("all", project)
        yield _key("type", project, record.type)
        if record.conversation_id is not None:
            yield _key("conversation", project, record.conversation_id)
    for memory_id in (record.id, *record.links):
        yield _key("id", memory_id)
    if record.source is Source.SESSION_WINDOW and record.conversation_id is not None and record.turn_index is not None:
        for number in range(record.turn_index - WINDOW_TURNS + 1, record.turn_index + 1):
            yield _key("turn", record.project_id, record.conversation_id, str(number))


def _space(user_id: str) -> str:
    return f"erased:{owner_key(user_id)}"


def _key(kind: str, *names: str | None) -> str:
    """Return a printable name for any identities; None stands for every project."""
    parts = "\0".join("*" if name is None else f"={name}" for name in names)
    return f"{kind}:{hashlib.sha256(parts.encode()).hexdigest()[:32]}"
