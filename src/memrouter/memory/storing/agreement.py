"""Whether two texts say the same word for word, but for words that do not matter. Pure."""

import re
import unicodedata
from typing import Final

# A number with its separators, a run of letters, or one sign that is no mere punctuation: ? % + # and emoji count.
_TOKEN = re.compile(r"[+-]?\d+(?:[.,:/-]\d+)*|[^\W\d_]+|[^\w\s.,;:!\"'`*()\[\]{}\u2026\u2013\u2014\u00bf\u00a1-]")
_APOSTROPHES = re.compile("[\u02bc\u2018\u2019\u00b4]")
_CONTRACTIONS: Final = (
    (re.compile(r"\bcan'?t\b|\bcannot\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'m\b"), " am"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'ll\b"), " will"),
)
_NUMBERS: Final = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905 - reads better
    )
}
_IDLE: Final = frozenset(
    """a an the am is are s that really very quite just also please actually basically honestly truly simply
    well oh um uh hey hi hello okay ok""".split()  # noqa: SIM905 - reads better
)
"""Words that may be there or not. Past tense, negations, prepositions, persons and quantities are none of them."""


def agree(one: str, other: str) -> bool:
    """Return whether two texts have the same words in the same order, words that do not matter aside.

    Numbers, dates, names, negations, tenses and prepositions must be the same; letter case, punctuation, articles,
    contractions and fillers need not. Words that open one text may close the other ("in the morning I run"). A
    question never agrees with a statement. Where two texts differ in anything else they are held to say different
    things: to keep a memory twice costs less than to lose one.
    """
    left, right = _words(one), _words(other)
    if len(left) != len(right) or not left:
        return False
    return left == right or f" {' '.join(right)} " in f" {' '.join((*left, *left))} "


def _words(text: str) -> list[str]:
    plain = _APOSTROPHES.sub("'", unicodedata.normalize("NFKC", text).casefold())
    for pattern, written_out in _CONTRACTIONS:
        plain = pattern.sub(written_out, plain)
    return [_NUMBERS.get(word, word) for word in _TOKEN.findall(plain) if word not in _IDLE]
