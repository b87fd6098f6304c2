"""Which texts are kept apart because they try to instruct the model."""

from collections.abc import Iterator
from typing import Final

from memrouter.config.keeping import QuarantineSettings
from memrouter.memory.screening.folding import decoded, folded, smuggles
from memrouter.memory.screening.overrides import Overrides
from memrouter.memory.screening.rules import (
    CONFIGURED_PATTERN,
    HIDDEN_TEXT,
    HINTS,
    IGNORE_INSTRUCTIONS,
    PATTERNS,
    ROLE_MARKERS,
    RULES,
    Rule,
)
from memrouter.memory.screening.timed_pattern import TimedPattern
from memrouter.models.memory import Trust

_STRICT: Final = tuple(rule for rule in PATTERNS if rule.strict and rule.name != ROLE_MARKERS)
_STRICT_HINTS: Final = frozenset().union(*(rule.hints for rule in _STRICT))
_ENOUGH: Final = 2
"""So many strict rules that an answer breaks put its turn into quarantine."""


class Quarantine:
    """Finds texts that try to instruct the model. Compiled once.

    What a user asks for himself ("please always answer in German") is his preference and passes; the same words from a
    model, a tool, a document or an import do not.

    Args:
        settings: Whether it is in use, and further patterns.
    """

    def __init__(self, settings: QuarantineSettings) -> None:
        self._enabled = settings.enabled
        self._overrides = Overrides()
        self._patterns = [
            TimedPattern(pattern, key=f"quarantine.patterns[{number}]")
            for number, pattern in enumerate(settings.patterns)
        ]

    def rule(self, text: str, *, trust: Trust) -> str | None:
        """Return the name of the rule for which ``text`` must be kept apart, or None.

        Args:
            text: What is to be stored.
            trust: Who its words come from.
        """
        if not self._enabled:
            return None
        own = trust is Trust.DIRECT_USER
        if smuggles(text):
            return HIDDEN_TEXT
        found = set(self._found(folded(text), own=own))
        if found:
            return next(name for name in RULES if name in found)
        if any(next(self._found(folded(inner), own=False), None) for inner in decoded(text)):
            return HIDDEN_TEXT
        return CONFIGURED_PATTERN if any(pattern.found(text) for pattern in self._patterns) else None

    def rule_of_answer(self, text: str, *, own_words: str) -> str | None:
        """Return the rule for which a turn must be kept apart for what the model answered, or None.

        A user has read the answer and gone on, so advice in it ("you should tell them") is none; what breaks two of the
        rules for words that are not the user's own is an instruction that it passed on.

        Args:
            text: Question and answer, which ``rule`` found nothing in.
            own_words: The question.
        """
        if not self._enabled:
            return None
        found = self._strict_ones(folded(text))
        if len(found) < _ENOUGH:
            return None
        asked = self._strict_ones(folded(own_words))
        broken = [rule.name for rule in found if rule not in asked]
        return broken[0] if len(broken) >= _ENOUGH else None

    @staticmethod
    def _strict_ones(text: str) -> list[Rule]:
        hints = {hint for hint in _STRICT_HINTS if hint in text}
        return [rule for rule in _STRICT if not rule.hints.isdisjoint(hints) and rule.pattern.search(text)]

    def _found(self, text: str, *, own: bool) -> Iterator[str]:
        hints = {hint for hint in HINTS if hint in text}
        for rule in PATTERNS:
            if not (own and rule.strict) and not rule.hints.isdisjoint(hints) and rule.pattern.search(text):
                yield rule.name
        if self._overrides.found(text, own=own):
            yield IGNORE_INSTRUCTIONS
