"""Small facts that a fleet of routers shares and that are no memories: leases, switches, keys, marks, reply chains."""

import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Protocol

from memrouter.models.memory import Scope

MAX_STATE_BYTES: Final = 48_000
"""Largest value of one entry; what is larger is kept in several."""

MAX_NAME_CHARS: Final = 200
"""Longest name of a space or key."""

LEASES: Final = "leases"
"""The space of leases, which say what the routers of one fleet do now: it is not moved to another store."""

_RESPONSES: Final = "responses"
_OF_A_CONVERSATION: Final = 3
"""Colons in the name of a space that lists the responses of a conversation."""
_NAME: Final = re.compile(rf"[!-~]{{1,{MAX_NAME_CHARS}}}")


@dataclass(frozen=True, slots=True)
class StateEntry:
    """One fact.

    Attributes:
        key: Its name within its space.
        value: At most 48,000 bytes.
        version: Rises with every write of the key, also over its removal or expiry; never comes again. So the version
            of a lease is its fencing token.
        expires_at: When it is gone, in milliseconds since the epoch; None for never.
    """

    key: str
    value: bytes
    version: int
    expires_at: int | None


class StateStore(Protocol):
    """Keeps entries in named spaces on the same server as the memories.

    Names of spaces and keys have 1 to 200 characters of printable ASCII without blanks; identities go in as digests.
    A write that returned is durable as a memory is, and is seen by the next read of any router. All methods may raise
    ``StoreUnavailable``; a name or value out of bounds is a ``ValueError``.
    """

    async def get(self, space: str, key: str, *, now: int) -> StateEntry | None:
        """Return an entry; None where there is none, or it has expired at ``now``."""
        ...

    async def put(
        self,
        space: str,
        key: str,
        value: bytes,
        *,
        now: int,
        expires_at: int | None = None,
        if_version: int | None = None,
    ) -> int | None:
        """Write an entry in one atomic step.

        Args:
            space: Where.
            key: Its name.
            value: What to keep.
            now: Milliseconds since the epoch.
            expires_at: When it goes; None for never.
            if_version: Only where the entry has this version now; 0: only where there is none. None: in any case.

        Returns:
            Its version now; None where ``if_version`` did not hold, and nothing was written.
        """
        ...

    async def remove(self, space: str, key: str, *, if_version: int | None = None) -> bool:
        """Remove an entry, where ``if_version`` is given only that version of it; return whether one was removed."""
        ...

    def entries(self, space: str, *, now: int) -> AsyncIterator[StateEntry]:
        """Return the entries of a space that have not expired, in no particular order."""
        ...

    def spaces(self, prefix: str = "") -> AsyncIterator[str]:
        """Return the names of the spaces that begin with ``prefix`` and hold anything, each once."""
        ...

    async def drop(self, space: str) -> None:
        """Remove all entries of a space."""
        ...


def responses_space(scope: Scope) -> str:
    """Return the name of the space with the kept responses of a user in one project."""
    return f"{_RESPONSES}:{scope.owner}:{_digest(scope.project_id or '')}"


def conversation_space(scope: Scope, conversation_id: str) -> str:
    """Return the name of the space that lists which responses a conversation has: by their ids, in how many parts."""
    return f"{responses_space(scope)}:{_digest(conversation_id)}"


async def drop_responses(state: StateStore, scope: Scope) -> None:
    """Remove the kept responses of a scope: of one project, or of all.

    Raises:
        StoreUnavailable: The store failed; some may be gone already.
    """
    if scope.project_id is not None:
        await state.drop(responses_space(scope))
    for space in await _response_spaces(state, scope):
        await state.drop(space)


async def drop_conversation(state: StateStore, scope: Scope, conversation_id: str) -> None:
    """Remove the kept responses of one conversation.

    Raises:
        StoreUnavailable: The store failed; some may be gone already.
    """
    suffix = f":{_digest(conversation_id)}"
    for listed in await _response_spaces(state, scope):
        if not listed.endswith(suffix) or listed.count(":") < _OF_A_CONVERSATION:
            continue
        space = listed.removesuffix(suffix)
        async for entry in state.entries(listed, now=0):  # at time 0 nothing has expired
            for key in (entry.key, *(f"{entry.key}.{part}" for part in range(int(entry.value)))):
                await state.remove(space, key)
        await state.drop(listed)


async def _response_spaces(state: StateStore, scope: Scope) -> list[str]:
    """Return the spaces with responses of a scope, and those that list them by conversation."""
    prefix = f"{_RESPONSES}:{scope.owner}:" if scope.project_id is None else f"{responses_space(scope)}:"
    return [name async for name in state.spaces(prefix)]


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def check_name(name: str) -> str:
    """Return a name of a space or key as it is; every store asks before it uses one.

    Raises:
        ValueError: Not 1 to 200 characters of printable ASCII without blanks.
    """
    if _NAME.fullmatch(name) is None:
        msg = f"the name of a space or key has 1 to {MAX_NAME_CHARS} characters of printable ASCII without blanks"
        raise ValueError(msg)
    return name


def check_value(value: bytes) -> bytes:
    """Return a value as it is.

    Raises:
        ValueError: More than 48,000 bytes.
    """
    if len(value) > MAX_STATE_BYTES:
        msg = f"a value has {len(value)} bytes; at most {MAX_STATE_BYTES} are allowed"
        raise ValueError(msg)
    return value
