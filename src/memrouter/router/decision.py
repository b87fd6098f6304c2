"""The decision: which of the configured routes a request takes."""

from collections.abc import Sequence
from typing import Protocol

from memrouter.config.routing import DecisionSettings, RuleNode


class Signals(Protocol):
    """Answers whether a signal matches the request."""

    async def matched(self, kind: str, name: str) -> bool:
        """Return whether the signal ``name`` of this kind matches."""
        ...


class DecisionEngine:
    """Finds the matching decision of the highest priority; among equals the first in the file.

    Args:
        decisions: In the order of the file.
    """

    def __init__(self, decisions: Sequence[DecisionSettings]) -> None:
        self._decisions = sorted(decisions, key=lambda decision: -decision.priority)

    async def decide(self, signals: Signals) -> DecisionSettings | None:
        """Return the decision, or None where no rule holds; asks for no signal that cannot change the outcome."""
        for decision in self._decisions:
            if await holds(decision.rules, signals):
                return decision
        return None


async def holds(rule: RuleNode, signals: Signals) -> bool:
    """Return whether a rule tree holds, reading it from left to right and no further than needed.

    An empty AND, or no rule at all, holds; an empty OR does not. Conditions without an operator are joined by AND.
    """
    if rule.type:
        return await signals.matched(rule.type, rule.name)
    if rule.operator == "NOT":
        return not await holds(rule.conditions[0], signals)
    decisive = rule.operator == "OR"
    for condition in rule.conditions:
        if await holds(condition, signals) is decisive:
            return decisive
    return not decisive
