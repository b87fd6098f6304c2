"""Regular expressions of a configuration, which may be slow."""

import logging
from typing import Final

import regex

logger = logging.getLogger(__name__)

PATTERN_SECONDS: Final = 0.01
"""Longest time that one pattern may search one text."""


class TimedPattern:
    """One pattern of a configuration, compiled once. The first time that it runs out of time is logged.

    Args:
        pattern: In the syntax of Python's ``regex`` package; searched anywhere, case counts.
        key: Where it stands in the configuration, for the log.

    Raises:
        regex.error: It is no regular expression; loading a configuration refuses such patterns.
    """

    def __init__(self, pattern: str, *, key: str) -> None:
        self._pattern = regex.compile(pattern)
        self._key = key
        self._slow = False

    def spans(self, text: str) -> list[tuple[int, int]] | None:
        """Return where the pattern is found, empty findings aside; None if it ran out of time."""
        try:
            found = [match.span() for match in self._pattern.finditer(text, timeout=PATTERN_SECONDS, concurrent=True)]
        except TimeoutError:
            self._note()
            return None
        return [(start, end) for start, end in found if end > start]

    def found(self, text: str) -> bool:
        """Return whether the pattern is found or ran out of time: a text made to keep it busy does not pass."""
        try:
            return self._pattern.search(text, timeout=PATTERN_SECONDS, concurrent=True) is not None
        except TimeoutError:
            self._note()
            return True

    def _note(self) -> None:
        if not self._slow:
            self._slow = True
            logger.warning(
                "%s needs more than %d ms for a text, which is then taken for a finding; write it without nested or "
                "overlapping repetition (said once)",
                self._key,
                PATTERN_SECONDS * 1000,
            )
