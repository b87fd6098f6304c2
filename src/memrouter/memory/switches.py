"""Whether a user's memories are saved and recalled, as an operator has switched it for that user."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import msgspec

from memrouter.clock import Clock
from memrouter.errors import Forbidden
from memrouter.models.memory import owner_key
from memrouter.stores.state import StateStore

KEPT_MS: Final = 10_000
"""How long another router may take to notice that something was switched."""
MAX_KEPT: Final = 10_000
"""Most users whose switches are held."""

_SPACE: Final = "switches"


class Switches(msgspec.Struct, frozen=True):
    """One user's switches.

    Attributes:
        saving: Whether anything is stored for the user. What is kept stays, and can be corrected and deleted.
        recall: Whether the user's memories are put into prompts.
    """

    saving: bool = True
    recall: bool = True


@dataclass(frozen=True, slots=True)
class _Kept:
    switches: Switches
    until: int


class UserSwitches:
    """The switches of all users; both are on where nobody switched them.

    Args:
        state: Where they are kept for all routers of the store.
        clock: Tells the time.
    """

    def __init__(self, state: StateStore, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def of(self, user_id: str) -> Switches:
        """Return a user's switches, at most 10 s old.

        Raises:
            StoreUnavailable: They cannot be read.
        """
        kept = self.at_hand(user_id)
        if kept is not None:
            return kept
        owner, now = owner_key(user_id), self._clock.now_ms()
        entry = await self._state.get(_SPACE, owner, now=now)
        return self._keep(owner, Switches() if entry is None else msgspec.json.decode(entry.value, type=Switches))

    def at_hand(self, user_id: str) -> Switches | None:
        """Return what ``of`` returns, where it need not be read."""
        kept = self._kept.get(owner_key(user_id))
        return kept.switches if kept is not None and self._clock.now_ms() < kept.until else None

    async def set(self, user_id: str, *, saving: bool | None = None, recall: bool | None = None) -> Switches:
        """Switch for one user what is not None, and return all switches; this router notices at once.

        Raises:
            StoreUnavailable: It cannot be noted.
        """
        owner = owner_key(user_id)
        while True:
            now = self._clock.now_ms()
            entry = await self._state.get(_SPACE, owner, now=now)
            held = Switches() if entry is None else msgspec.json.decode(entry.value, type=Switches)
            new = Switches(
                held.saving if saving is None else saving,
                held.recall if recall is None else recall,
            )
            version = 0 if entry is None else entry.version
            written = await self._state.put(_SPACE, owner, msgspec.json.encode(new), now=now, if_version=version)
            if written is not None:
                return self._keep(owner, new)

    async def require_saving(self, user_id: str) -> None:
        """Refuse to go on where nothing is to be stored for a user.

        Raises:
            Forbidden: Saving is switched off for the user.
            StoreUnavailable: It cannot be read.
        """
        if not (await self.of(user_id)).saving:
            raise Forbidden("saving is switched off for this user; ask whoever runs the router", code="saving_off")

    def _keep(self, owner: str, switches: Switches) -> Switches:
        self._kept[owner] = _Kept(switches, self._clock.now_ms() + KEPT_MS)
        self._kept.move_to_end(owner)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return switches
