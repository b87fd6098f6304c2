"""Whole words in any case and without accents, as SQLite's FTS5 finds them (``unicode61 remove_diacritics 2``)."""

import re
import unicodedata
from collections.abc import Iterable

MAX_WORDS = 256
"""Most words of one search; further ones are left out."""

_TOKEN = re.compile(r"[^\W_]+")


class WordMatcher:
    """Tells whether a text holds any of some words. A word of several tokens is a phrase; one without is never found.

    Args:
        words: What to look for; no character of them has a meaning of its own.
    """

    def __init__(self, words: Iterable[str]) -> None:
        phrases = {_joined(word) for word in list(dict.fromkeys(words))[:MAX_WORDS]}
        self._phrases = sorted(phrase for phrase in phrases if phrase != " ")

    def __bool__(self) -> bool:
        """Return whether anything can be found at all."""
        return bool(self._phrases)

    @property
    def ascii_words(self) -> list[str]:
        """Return words of which a text in ASCII must hold one, in lower case, in order to match."""
        return sorted({phrase.split()[0] for phrase in self._phrases if phrase.isascii()})

    def matches(self, text: str) -> bool:
        """Return whether ``text`` holds one of the words."""
        folded = _joined(text)
        return any(phrase in folded for phrase in self._phrases)


def _joined(text: str) -> str:
    """Return the folded tokens of a text, a blank around each."""
    plain = unicodedata.normalize("NFD", text.lower())
    bare = "".join(char for char in plain if unicodedata.category(char) != "Mn") if not plain.isascii() else plain
    tokens = _TOKEN.findall(bare)
    return f" {' '.join(tokens)} " if tokens else " "
