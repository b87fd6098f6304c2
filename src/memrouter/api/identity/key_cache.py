"""API keys at hand for a few seconds, so that not every request asks where they are kept."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from memrouter.api.identity.api_key import ApiKey
from memrouter.api.identity.key_keeper import KeyKeeper
from memrouter.clock import Clock
from memrouter.errors import MemrouterError, StoreUnavailable

logger = logging.getLogger(__name__)

MAX_KEYS: Final = 10_000
USE_INTERVAL_SECONDS: Final = 600.0
"""The last use of a key is noted at most this often, by each router."""


@dataclass(slots=True)
class _Known:
    key: ApiKey
    asked_at: float
    noted_at: float | None = None
    asking: bool = False


class KeyCache:
    """Looks keys up, and keeps those that exist.

    A key that was revoked works for at most ``seconds`` more, plus the time of one look-up. Keys that do not exist are
    not kept, so nobody can push the others out.

    Args:
        keeper: Where keys are kept.
        seconds: How long a key counts as known.
        grace: How much longer it does while the keeper cannot be asked, in seconds.
        clock: Ages what is known.
    """

    def __init__(self, keeper: KeyKeeper, *, seconds: float, grace: float, clock: Clock) -> None:
        self._keeper = keeper
        self._seconds = seconds
        self._grace = grace
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def find(self, key_id: str) -> ApiKey | None:
        """Return a key; None where there is none.

        Raises:
            StoreUnavailable: The keeper cannot be asked, and the key has not been known lately.
        """
        known = self._known.get(key_id)
        if known is None:
            return self._keep(key_id, await self._keeper.get(key_id))
        if known.asking or self._clock.monotonic() - known.asked_at < self._seconds:
            return known.key
        known.asking = True  # Others take what is known while one asks.
        try:
            return self._keep(key_id, await self._keeper.get(key_id))
        except StoreUnavailable:
            if self._clock.monotonic() - known.asked_at > self._seconds + self._grace:
                self._known.pop(key_id, None)
                raise
            return known.key
        finally:
            known.asking = False

    def note_use(self, key_id: str) -> None:
        """Note, in the background and not often, that a key which was found has proved good."""
        known, now = self._known.get(key_id), self._clock.monotonic()
        if known is None or (known.noted_at is not None and now - known.noted_at < USE_INTERVAL_SECONDS):
            return
        known.noted_at = now
        note = asyncio.create_task(self._note(key_id))
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)

    async def aclose(self) -> None:
        """Give up what has not been noted yet."""
        for note in self._notes:
            note.cancel()
        await asyncio.gather(*self._notes, return_exceptions=True)

    def _keep(self, key_id: str, key: ApiKey | None) -> ApiKey | None:
        before = self._known.pop(key_id, None)
        if key is not None:
            noted = before.noted_at if before else None
            self._known[key_id] = _Known(key, asked_at=self._clock.monotonic(), noted_at=noted)
            if len(self._known) > MAX_KEYS:
                del self._known[next(iter(self._known))]
        return key

    async def _note(self, key_id: str) -> None:
        try:
            await self._keeper.note_use(key_id)
        except MemrouterError as error:
            logger.warning("the last use of an API key could not be noted: %s", error)
