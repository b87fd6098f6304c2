"""Words of nearly the same spelling: slips of the finger and variants of names."""

from collections.abc import Iterable

MIN_CHARS = 5
"""Shorter words are never taken for one another: too many real ones differ by a letter."""
MAX_CANDIDATES = 2000
"""Most words of one length and first letter that are looked at: about 1 ms."""
SPELLING_BYTES = 64
"""Memory that a word of the vocabulary takes here, without the word itself, rounded up."""


class Spelling:
    """Finds the words of a vocabulary that are one slip away from a given one; any thread may ask it.

    A slip is a letter that is missing, added or wrong, or two that changed places. The first letter is taken to be
    right. Words with a digit are never taken for one another.

    Args:
        vocabulary: Index terms.

    Attributes:
        size: Number of words that it knows.
    """

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._words: dict[tuple[str, int], dict[str, None]] = {}
        self.size = 0
        self.add(vocabulary)

    def add(self, words: Iterable[str]) -> None:
        """Know further words; not from two threads at once, but others may ask meanwhile."""
        for word in words:
            if len(word) >= MIN_CHARS - 1:
                alike = self._words.setdefault((word[0], len(word)), {})
                self.size += word not in alike
                alike[word] = None

    def near(self, word: str) -> list[str]:
        """Return the words one slip away from ``word``, in the order in which they became known by length."""
        if len(word) < MIN_CHARS or not word.isalpha():
            return []
        lengths = range(max(MIN_CHARS - 1, len(word) - 1), len(word) + 2)
        candidates = (
            other for length in lengths for other in list(self._words.get((word[0], length), ()))[:MAX_CANDIDATES]
        )
        return [other for other in candidates if _one_slip(word, other)]


def _one_slip(one: str, other: str) -> bool:
    """Return whether one insertion, deletion, substitution or swap of neighbours turns ``one`` into ``other``."""
    short, long = sorted((one, other), key=len)
    at = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    swapped = short[at:][:2][::-1] == long[at:][:2] and short[at + 2 :] == long[at + 2 :]
    return at < len(short) and (swapped or short[at + 1 :] == long[at + 1 :])
