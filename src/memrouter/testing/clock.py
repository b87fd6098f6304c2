"""A clock for tests."""


class ManualClock:
    """Satisfies ``Clock``; stands still until a test moves ``ms``.

    Args:
        ms: Milliseconds since the epoch, UTC; the default is 2026-01-01T00:00:00Z.
    """

    def __init__(self, ms: int = 1_767_225_600_000) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        """Return ``ms``."""
        return self.ms

    def monotonic(self) -> float:
        """Return ``ms`` in seconds."""
        return self.ms / 1000
