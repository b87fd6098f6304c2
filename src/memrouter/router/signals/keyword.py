"""Keyword signals: words or patterns in the last user message."""

import asyncio
import logging
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import regex

from memrouter.config.routing import KeywordRule
from memrouter.models.turn import Turn

_logger = logging.getLogger(__name__)

# Scripts that put no space between words, or glue particles to them: a border cannot be asked for there.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = rf"[\w--[{_UNSPACED}]]"
_INLINE_WORK = 50_000
"""Characters times patterns up to which literals are sought in the event loop: under a millisecond."""


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    operator: str
    patterns: tuple[regex.Pattern[str], ...]
    seconds: float | None

    def matches(self, text: str) -> bool:
        hits = (pattern.search(text, timeout=self.seconds, concurrent=True) is not None for pattern in self.patterns)
        try:
            return all(hits) if self.operator == "AND" else any(hits) != (self.operator == "NOR")
        except TimeoutError:
            _logger.warning(
                "keyword signal %s does not match: a pattern took longer than %s s; simplify it",
                self.name,
                self.seconds,
            )
            return False


class KeywordSignals:
    """Looks for keywords in the last user message, composed to Unicode NFC.

    A literal keyword is found where word borders surround it: no letter, digit or underscore may touch an edge of the
    keyword that is one itself. Scripts without spaces between words need no border, and any white space stands for
    the white space inside a keyword. Regular expressions run outside the event loop and for a limited time.

    Args:
        rules: The configured rules.
        pattern_seconds: Most seconds for one regular expression; past it its rule does not match, whatever the
            operator.

    Raises:
        regex.error: A regular expression is not valid.
    """

    def __init__(self, rules: Sequence[KeywordRule], *, pattern_seconds: float = 0.1) -> None:
        self._rules = tuple(_compile(rule, pattern_seconds) for rule in rules)
        self._always_threaded = any(rule.method == "regex" for rule in rules)
        self._pattern_count = sum(len(rule.patterns) for rule in self._rules)

    async def evaluate(self, turn: Turn) -> frozenset[str]:
        """Return the names of the rules that match."""
        text = turn.request.query
        if self._always_threaded or len(text) * self._pattern_count > _INLINE_WORK:
            return await asyncio.to_thread(self._scan, text)
        return self._scan(text)

    def _scan(self, text: str) -> frozenset[str]:
        composed = unicodedata.normalize("NFC", text)
        return frozenset(rule.name for rule in self._rules if rule.matches(composed))


def _compile(rule: KeywordRule, pattern_seconds: float) -> _Rule:
    case = 0 if rule.case_sensitive else regex.IGNORECASE
    if rule.method == "regex":
        patterns = tuple(regex.compile(keyword, case) for keyword in rule.keywords)
        return _Rule(rule.name, rule.operator, patterns, pattern_seconds)
    literals = [_literal(keyword) for keyword in rule.keywords]
    if rule.operator != "AND":
        literals = ["|".join(literals)]  # one pass over the text for all of them
    return _Rule(rule.name, rule.operator, tuple(regex.compile(part, case | regex.V1) for part in literals), None)


def _literal(keyword: str) -> str:
    """Return the pattern of a keyword with word borders; a blank keyword gives one that never matches."""
    parts = regex.findall(r"\S+", unicodedata.normalize("NFC", keyword))
    if not parts:
        return r"(?!)"
    before = rf"(?<!{_WORD})" if _is_word(parts[0][0]) else ""
    after = rf"(?!{_WORD})" if _is_word(parts[-1][-1]) else ""
    return before + r"\s+".join(regex.escape(part) for part in parts) + after


def _is_word(character: str) -> bool:
    return regex.match(_WORD, character, regex.V1) is not None
