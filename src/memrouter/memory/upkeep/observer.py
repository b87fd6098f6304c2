"""Who counts what upkeep did."""

from typing import Protocol


class UpkeepObserver(Protocol):
    """Counts; no value names a user."""

    def pruned(self, rule: str, count: int) -> None:
        """Count memories that went by themselves; ``rule`` is a ``Rule``."""
        ...

    def consolidated(self, outcome: str, *, sources: int) -> None:
        """Count a group of memories: ``merged``, ``merged_by_model``, ``repeated_by_turns``, ``refused``, ``outdated``.

        Args:
            outcome: What became of it.
            sources: How many memories another one stands for now.
        """
        ...

    def consolidation_tokens(self, *, prompt: int, completion: int) -> None:
        """Count the tokens of one call of the model that writes merged texts."""
        ...
