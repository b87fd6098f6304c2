"""Whether two texts say the same word for word, but for words that do not matter. Pure."""

import re
import unicodedata
from collections.abc import Sequence
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
    # Of a noun, "'s" may be the owner's: "Anna's doctor" is not "Anna, a doctor".
    (re.compile(r"\b(it|that|he|she|there|here|what|who)'s\b"), r"\1 is"),
    (re.compile(r"'s(?= (?:called|named|now|not|from)\b)"), " is"),
    (re.compile(r"\ba (?=(?:few|little)\b)"), "some "),
    (re.compile(r"(?<=\d) ?a\.?m\b"), " ante"),
    (re.compile(r"(?<=\w)-(?=[\s,.;!?]|\Z)"), " minus"),
)
_LETTER_A = re.compile(r"(?<=\w )A\b|\bA(?=[+-])")
"""The letter, as a grade, a vitamin or a blood group."""
_NUMBERS: Final = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905 - reads better
    )
}
_IDLE: Final = frozenset(
    """a an the am is are that really very quite just also please actually basically honestly truly simply
    oh um uh hey hi hello okay ok""".split()  # noqa: SIM905 - reads better
)
"""Words that may be there or not. Past tense, negations, prepositions, persons and quantities are none of them."""
_OPENING: Final = frozenset("in on at by with after before during since until for from every".split())  # noqa: SIM905 - reads better
_SUBJECTS: Final = frozenset("i we he she they my our".split())  # noqa: SIM905 - reads better


def agree(one: str, other: str) -> bool:
    """Return whether two texts have the same words in the same order, words that do not matter aside.

    Numbers, dates, names, negations, tenses and prepositions must be the same; letter case, punctuation, articles,
    contractions and fillers need not. What opens one text may close the other ("in the morning I run"). A
    question never agrees with a statement. Where two texts differ in anything else they are held to say different
    things: to keep a memory twice costs less than to lose one.
    """
    left, right = _words(one), _words(other)
    if len(left) != len(right) or not left:
        return False
    return left == right or _moved(left, right) or _moved(right, left)


def _moved(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether one text opens with what closes the other: a preposition's words before the subject's.

    Both must stand there once only. Of "Monday gym, Tuesday pool" and "gym Tuesday, pool Monday" each is the other with
    its first word at the end, and they say different things.
    """
    opening, subject = one[0], other[0]
    if opening not in _OPENING or subject not in _SUBJECTS or one.count(opening) > 1 or one.count(subject) != 1:
        return False
    place = one.index(subject)
    return list(other) == [*one[place:], *one[:place]]


def _words(text: str) -> list[str]:
    plain = _LETTER_A.sub("letterA", unicodedata.normalize("NFKC", text))
    plain = _APOSTROPHES.sub("'", plain.casefold())
    for pattern, written_out in _CONTRACTIONS:
        plain = pattern.sub(written_out, plain)
    return [_NUMBERS.get(word, word) for word in _TOKEN.findall(plain) if word not in _IDLE]
