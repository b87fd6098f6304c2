"""How a long piece of work tells what it is doing, without knowing who looks on."""

from typing import Protocol


class Progress(Protocol):
    """Is told how far the work is."""

    def begin(self, task: str, *, total: int | None) -> None:
        """Start a task, such as ``exporting``; the one before is over.

        Args:
            task: What is done, in a word or two.
            total: How many memories it is expected to deal with; None where that is not known.
        """
        ...

    def advance(self, count: int) -> None:
        """Note that ``count`` more memories were dealt with."""
        ...

    def say(self, text: str) -> None:
        """Tell something that the operator has to know; no memory text and no user id."""
        ...


class Unseen:
    """Satisfies ``Progress``; nobody looks on."""

    def begin(self, task: str, *, total: int | None) -> None:
        """Do nothing."""

    def advance(self, count: int) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""
