"""Who is told of what extraction did and what it cost."""

from typing import Protocol


class ExtractionObserver(Protocol):
    """Is told in figures only."""

    def extraction(self, *, outcome: str, seconds: float) -> None:
        """Note one batch of turns.

        Args:
            outcome: ``extracted``, ``unusable`` (the answer could not be read), ``failed``, ``timeout``, ``skipped``
                (the model failed a moment ago) or ``gone`` (its turns were deleted meanwhile).
            seconds: What the model took.
        """
        ...

    def extraction_call(self, *, prompt: int, completion: int) -> None:
        """Count one call of the model that was answered, and its tokens."""
        ...

    def facts(self, *, outcome: str, count: int) -> None:
        """Count facts by what became of them.

        Args:
            outcome: ``stored``, ``known``, ``replaced`` (stored in the place of another one), ``quarantined``, or why
                they were dropped.
            count: How many.
        """
        ...

    def extraction_overflow(self) -> None:
        """Count a turn that was not waited for, because too many wait."""
        ...
