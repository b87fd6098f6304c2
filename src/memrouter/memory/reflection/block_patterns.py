"""Regular expressions that keep memories out of prompts."""

import logging
from collections.abc import Sequence
from typing import Final

import regex

from memrouter.memory.reflection.drops import Drop

logger = logging.getLogger(__name__)

PATTERN_SECONDS: Final = 0.01
"""Longest time that one pattern may search one memory."""


class BlockPatterns:
    """Block patterns, compiled once.

    A pattern that runs out of time counts as a match: were the memory let through, a text made to keep the pattern
    busy would pass it. The first time for each pattern is logged as a warning.

    Args:
        patterns: In the syntax of Python's ``regex`` package; searched anywhere in a memory, case counts.

    Raises:
        regex.error: One of them is no regular expression; loading a configuration refuses such patterns.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [regex.compile(pattern) for pattern in patterns]
        self._slow: set[int] = set()

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._patterns)

    def verdict(self, text: str) -> Drop | None:
        """Return why ``text`` must not be injected, or None. Takes up to PATTERN_SECONDS a pattern, without the GIL."""
        for number, pattern in enumerate(self._patterns):
            try:
                if pattern.search(text, timeout=PATTERN_SECONDS, concurrent=True):
                    return Drop.BLOCKED
            except TimeoutError:
                self._note(number)
                return Drop.PATTERN_TIMEOUT
        return None

    def _note(self, number: int) -> None:
        if number not in self._slow:
            self._slow.add(number)
            logger.warning(
                "block_patterns[%d] needs more than %d ms for a memory, which is left out; write it without nested or "
                "overlapping repetition (said once; the metric memrouter_memories_dropped_total counts on)",
                number,
                PATTERN_SECONDS * 1000,
            )
