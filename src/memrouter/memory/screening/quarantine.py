"""Which texts are kept apart because they try to instruct the model."""

from collections.abc import Iterator, Sequence, Set
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

    def rule(self, text: str, *, trust: Trust, own_words: str | None = None) -> str | None:
        """Return the name of the rule for which ``text`` must be kept apart, or None.

        A user has read the answer in a turn and gone on, so advice in it ("you should tell them") is none; what breaks
        two of the rules for words that are not the user's own is an instruction that it passed on.

        Args:
            text: What is to be stored.
            trust: Who its words come from.
            own_words: The question, where ``text`` is question and answer; None where nothing stands apart.
        """
        if not self._enabled:
            return None
        if smuggles(text):
            return HIDDEN_TEXT
        plain = folded(text)
        hints = _hints_in(plain)
        found = set(self._found(plain, hints, own=trust is Trust.DIRECT_USER))
        if found:
            return next(name for name in RULES if name in found)
        if any(next(self._found(inner, _hints_in(inner), own=False), None) for inner in map(folded, decoded(text))):
            return HIDDEN_TEXT
        if any(pattern.found(text) for pattern in self._patterns):
            return CONFIGURED_PATTERN
        return None if own_words is None else _rule_of_answer(plain, hints, own_words=own_words)

    def _found(self, text: str, hints: Set[str], *, own: bool) -> Iterator[str]:
        for rule in PATTERNS if hints else ():
            if not (own and rule.strict) and not rule.hints.isdisjoint(hints) and rule.pattern.search(text):
                yield rule.name
        if self._overrides.found(text, own=own):
            yield IGNORE_INSTRUCTIONS


def _hints_in(text: str) -> Set[str]:
    return {hint for hint in HINTS if hint in text}


def _rule_of_answer(text: str, hints: Set[str], *, own_words: str) -> str | None:
    """Return the rule for which a turn must be kept apart for what the model answered, or None."""
    found = _strict_ones(text, hints)
    if len(found) < _ENOUGH:
        return None
    own = folded(own_words)
    asked = _strict_ones(own, _hints_in(own))
    broken = [rule.name for rule in found if rule not in asked]
    return broken[0] if len(broken) >= _ENOUGH else None


def _strict_ones(text: str, hints: Set[str]) -> Sequence[Rule]:
    return [rule for rule in _STRICT if not rule.hints.isdisjoint(hints) and rule.pattern.search(text)] if hints else ()
