"""Domain signals: the subject of a request, as far as it is told here."""

from collections.abc import Sequence
from typing import Final

from memrouter.config.routing import DomainRule
from memrouter.models.turn import Turn

UNCLASSIFIED: Final = "other"
"""The category of whatever fits no other; the Go router falls back to it."""


class DomainSignals:
    """Takes every request for one of the category ``other``, since nothing here classifies subjects.

    Args:
        rules: The configured rules; one without categories stands for the category of its name.
    """

    def __init__(self, rules: Sequence[DomainRule]) -> None:
        self._matched = frozenset(rule.name for rule in rules if UNCLASSIFIED in (rule.mmlu_categories or (rule.name,)))

    async def evaluate(self, turn: Turn) -> frozenset[str]:
        """Return the names of the rules that cover ``other``, whatever was asked."""
        return self._matched
