"""The signals of one request, evaluated when a decision first asks for their kind."""

from collections.abc import Mapping
from typing import TypeAlias

from memrouter.models.turn import Turn
from memrouter.router.signals.base import SignalEvaluator

SignalEvaluators: TypeAlias = Mapping[str, SignalEvaluator]
"""Evaluators by the kind of signal, as a condition's ``type`` names it."""


class SignalBoard:
    """What is known about one request; belongs to that request alone.

    Args:
        turn: The request.
        evaluators: By kind; a kind that is absent never matches.
    """

    def __init__(self, turn: Turn, evaluators: SignalEvaluators) -> None:
        self._turn = turn
        self._evaluators = evaluators
        self._found: dict[str, frozenset[str]] = {}
        self._matched: dict[str, None] = {}

    async def matched(self, kind: str, name: str) -> bool:
        """Return whether the signal matches; each kind is evaluated at most once, and only if asked for."""
        if kind not in self._found:
            evaluator = self._evaluators.get(kind)
            self._found[kind] = await evaluator.evaluate(self._turn) if evaluator else frozenset()
        if name not in self._found[kind]:
            return False
        self._matched[f"{kind}:{name}"] = None
        return True

    def matched_names(self) -> tuple[str, ...]:
        """Return ``kind:name`` of the signals that were asked for and matched, in the order of asking."""
        return tuple(self._matched)
