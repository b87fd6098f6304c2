"""Who is told of what the write gate does."""

from typing import Protocol


class WriteObserver(Protocol):
    """Is told of writes, in figures only."""

    def written(self, *, source: str, outcome: str) -> None:
        """Note what became of one draft.

        Args:
            source: Its source.
            outcome: ``stored``, ``known``, ``quarantined`` or ``dropped``.
        """
        ...

    def write_dropped(self, reason: str) -> None:
        """Note why a draft was dropped: one of a fixed list of words."""
        ...

    def redacted(self, *, kind: str, count: int) -> None:
        """Note how many pieces of a kind were taken out of texts."""
        ...

    def evicted(self, count: int) -> None:
        """Note how many memories made room for others."""
        ...


class Unobserved:
    """Tells nobody; satisfies ``WriteObserver``."""

    def written(self, *, source: str, outcome: str) -> None:
        """Do nothing."""

    def write_dropped(self, reason: str) -> None:
        """Do nothing."""

    def redacted(self, *, kind: str, count: int) -> None:
        """Do nothing."""

    def evicted(self, count: int) -> None:
        """Do nothing."""
