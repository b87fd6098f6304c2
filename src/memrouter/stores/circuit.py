"""Decides whether something that failed lately is worth another try."""

from memrouter.clock import Clock


class Circuit:
    """Closed while calls succeed; after a failure open, with one try let through for each pause.

    Args:
        clock: Times the pauses.
        pause: Seconds from a failure, or from a try, until the next try.
    """

    def __init__(self, *, clock: Clock, pause: float) -> None:
        self._clock = clock
        self._pause = pause
        self._next_try: float | None = None

    def allows(self) -> bool:
        """Return whether a call may be made now; a call let through while open counts as the pause's one try."""
        if self._next_try is None:
            return True
        now = self._clock.monotonic()
        if now < self._next_try:
            return False
        self._next_try = now + self._pause
        return True

    def failed(self) -> bool:
        """Note a failed call; return whether it opened the circuit."""
        opened = self._next_try is None
        self._next_try = self._clock.monotonic() + self._pause
        return opened

    def succeeded(self) -> bool:
        """Note a call that succeeded; return whether it closed the circuit."""
        closed = self._next_try is not None
        self._next_try = None
        return closed
