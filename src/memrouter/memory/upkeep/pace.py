"""How fast upkeep may go: as told by whoever runs it."""

from typing import Protocol


class Pace(Protocol):
    """Holds upkeep back, and ends it."""

    async def rest(self) -> None:
        """Wait as long as the machine is needed for something else; called every few milliseconds of work."""
        ...

    async def may_begin(self, position: str | None) -> bool:
        """Return whether the next user's memories may be looked at; called before anything of theirs is changed.

        Args:
            position: Where a later run would have to begin in order to come by this user; None: at the beginning.
        """
        ...


class FullSpeed:
    """Satisfies ``Pace``: nothing waits and nothing is left out."""

    async def rest(self) -> None:
        """Go on at once."""

    async def may_begin(self, position: str | None) -> bool:
        """Return True."""
        return True
