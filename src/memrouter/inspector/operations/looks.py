"""Looks of operators at memories of others: each is written down before anything is shown."""

import logging
import re
from collections.abc import Sequence
from random import Random
from typing import Final

import msgspec

from memrouter.clock import Clock
from memrouter.errors import Forbidden, InvalidRequest, MemrouterError
from memrouter.memory.storing.audit import MAX_IDS
from memrouter.memory.storing.audit import logger as audit_log
from memrouter.models.memory import owner_key
from memrouter.models.turn import Identity
from memrouter.observability.logs import MUST_BE_WRITTEN
from memrouter.stores.state import StateStore

SPACE: Final = "inspector_looks"
KEPT_MS: Final = 365 * 86_400_000
"""How long a look is kept beside the memories; the log is kept by whoever collects it."""
MOST_SHOWN: Final = 200
LEAST_REASON_CHARS: Final = 10
MOST_REASON_CHARS: Final = 500


class Look(msgspec.Struct, frozen=True):
    """One look. Holds no text of a memory and nobody's name.

    Attributes:
        at: When, in milliseconds since the epoch.
        operator: Who looked, as an owner key.
        owner: At whose memories, as an owner key.
        ids: At which, at most MAX_IDS of them.
        count: At how many.
        reason: Why, in the operator's words.
        key_id: Of the operator's API key: one of a service may name anybody as the operator. Empty where there is none.
    """

    at: int
    operator: str
    owner: str
    ids: tuple[str, ...]
    count: int
    reason: str
    key_id: str = ""


class Looks:
    """Writes looks to the audit log and beside the memories, where the operators of all routers see them.

    Args:
        state: Of the memory store.
        clock: Tells the time.
        rng: Names the entries.
    """

    def __init__(self, state: StateStore, *, clock: Clock, rng: Random) -> None:
        self._state = state
        self._clock = clock
        self._rng = rng

    async def write(self, *, operator: Identity, user_id: str, ids: Sequence[str], reason: str) -> None:
        """Write one look down; only then may it be had.

        Args:
            operator: Who looks; names a user.
            user_id: Whose memories.
            ids: Of all that will be shown.
            reason: From ``check_reason``.

        Raises:
            StoreUnavailable: It could not be written beside the memories.
            NotWritten: It could not be written to the log.
            Forbidden: No user is named as the one who looks.
        """
        if operator.user_id is None:
            raise Forbidden("who looks must be somebody: sign in as a user, with a key or token that names one")
        now = self._clock.now_ms()
        look = Look(
            at=now,
            operator=owner_key(operator.user_id),
            owner=owner_key(user_id),
            ids=tuple(sorted(ids)[:MAX_IDS]),
            count=len(ids),
            reason=without_name(without_name(reason, user_id), operator.user_id),
            key_id=operator.key_id,
        )
        key = f"{now:015d}-{self._rng.getrandbits(64):016x}"
        value = msgspec.json.encode(look)
        await self._state.put(SPACE, key, value, now=now, expires_at=now + KEPT_MS)
        _log(look)

    async def recent(self) -> Sequence[Look]:
        """Return the last looks, newest first.

        Raises:
            StoreUnavailable: They cannot be read.
        """
        entries = [entry async for entry in self._state.entries(SPACE, now=self._clock.now_ms())]
        entries.sort(key=lambda entry: entry.key, reverse=True)
        return [msgspec.json.decode(entry.value, type=Look) for entry in entries[:MOST_SHOWN]]


class NotWritten(MemrouterError):
    """The audit log did not take a look; nothing may be shown."""


def check_reason(text: str) -> str:
    """Return a reason with its ends trimmed.

    Raises:
        InvalidRequest: Shorter than LEAST_REASON_CHARS or longer than MOST_REASON_CHARS.
    """
    reason = " ".join(text.split())
    if not LEAST_REASON_CHARS <= len(reason) <= MOST_REASON_CHARS:
        raise InvalidRequest(
            f"say why, in {LEAST_REASON_CHARS} to {MOST_REASON_CHARS} characters, such as a ticket and what was asked",
            param="reason",
        )
    return reason


def without_name(text: str, user_id: str) -> str:
    """Return ``text`` with the owner key in the place of a user id that stands in it as a word, in any case."""
    pattern = rf"(?<!\w){re.escape(user_id)}(?!\w)"
    return re.sub(pattern, owner_key(user_id), text, flags=re.IGNORECASE)


def _log(look: Look) -> None:
    """Write a look to the audit log.

    Raises:
        NotWritten: It was not written.
    """
    if not audit_log.isEnabledFor(logging.WARNING):
        raise NotWritten(
            f"the logger {audit_log.name} takes no warnings, so looks cannot be audited; set global.server.log_level "
            "to warning, info or debug"
        )
    fields = {
        "event": "looked_at",
        "operator": look.operator,
        "operator_key": look.key_id or None,
        "owner": look.owner,
        "ids": " ".join(look.ids),
        "count": look.count,
        "reason": look.reason,
        MUST_BE_WRITTEN: True,
    }
    try:
        audit_log.warning("memories were looked at by an operator", extra=fields)
    except Exception as error:
        raise NotWritten("the audit log could not be written, so nothing is shown") from error
