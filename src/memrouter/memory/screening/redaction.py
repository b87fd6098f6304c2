"""What is taken out of a text before it is embedded and stored."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from memrouter.config.keeping import RedactionSettings
from memrouter.memory.screening.cards import CARD_NUMBER, card_numbers
from memrouter.memory.screening.personal_data import FINDERS
from memrouter.memory.screening.secrets import SECRET_KINDS, SecretFinder
from memrouter.memory.screening.spans import Span, apart, levelled, masked
from memrouter.memory.screening.timed_pattern import TimedPattern

KINDS: Final = (*SECRET_KINDS, CARD_NUMBER, *FINDERS)
"""What can be found without configured patterns."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text without what must not be stored.

    Attributes:
        content: The text, with ``[KIND removed]`` in place of what was found.
        counts: How often each kind was masked.
        dropped: Kind for which the whole text must not be stored; None if it may.
    """

    content: str
    counts: Mapping[str, int]
    dropped: str | None = None


class Redactor:
    """Finds and masks secrets and, by policy, personal data. Compiled once.

    Args:
        settings: What becomes of each kind.
    """

    def __init__(self, settings: RedactionSettings) -> None:
        self._enabled = settings.enabled
        self._secrets = SecretFinder() if settings.enabled else None
        self._personal = {kind: getattr(settings.personal_data, kind) for kind in FINDERS}
        self._patterns = [
            (rule, TimedPattern(rule.pattern, key=f"redaction.patterns[{number}] ({rule.name})"))
            for number, rule in enumerate(settings.patterns)
        ]

    def redact(self, text: str) -> Redacted:
        """Return ``text`` without what must not be stored; masking a text twice changes nothing more."""
        if not self._enabled:
            return Redacted(text, {})
        spans: list[Span] = []
        for span, action in self._found(text):
            if action == "drop":
                return Redacted(text, {}, dropped=span.kind)
            spans.append(span)
        if not spans:
            return Redacted(text, {})
        kept = apart(spans)
        return Redacted(masked(text, kept), Counter(span.kind for span in kept))

    def _found(self, text: str) -> Iterator[tuple[Span, str]]:
        level = levelled(text)
        if self._secrets is not None:
            yield from ((span, "mask") for span in self._secrets.find(level))
        yield from ((span, "mask") for span in card_numbers(level))
        for kind, find in FINDERS.items():
            if self._personal[kind] != "keep":
                yield from ((span, self._personal[kind]) for span in find(level))
        for rule, pattern in self._patterns:
            places = pattern.spans(text)
            if places is None:
                yield Span(0, len(text), rule.name), "drop"
                return
            yield from ((Span(start, end, rule.name), rule.action) for start, end in places)
