"""What a question says about the memories that would answer it."""

import msgspec
import regex

from memrouter.memory.retrieval.dates import CALENDAR_WORDS, Period, periods
from memrouter.memory.retrieval.words import Analyzer, tokenize

ASKER = "user"
"""Role of memories in the asker's own words."""

_WHEN = regex.compile(
    r"\b(?:when|how (?:long|recently)|(?:what|which) (?:date|day|month|year|time)"
    r"|how many (?:days|weeks|months|years))\b",
    regex.IGNORECASE,
)
_FIRST_PERSON = frozenset({"i", "me", "my", "mine", "myself", "we", "us", "our", "ours", "i'm", "i've", "i'd", "i'll"})
_NAME = regex.compile(r"(?<![.!?:\n\"\u201c]\s*)(?<!^\s*)(?<![\p{L}\p{N}'\u2019])\p{Lu}[\p{L}\p{M}\p{N}'\u2019-]*")


class Question(msgspec.Struct, frozen=True):
    """A question, analysed.

    Attributes:
        terms: Its distinct index terms, in order.
        names: Those of them that are written as names: a capital inside a sentence.
        people: Terms and roles that may stand for whoever said the answer.
        asks_when: Whether it asks for a time; known for English.
        periods: Times that it names.
    """

    terms: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    asks_when: bool = False
    periods: tuple[Period, ...] = ()


def parse_question(text: str, analyzer: Analyzer, *, now: int) -> Question:
    """Return what ``text`` says; about 0.05 ms for one sentence.

    Args:
        text: What is asked.
        analyzer: That of the memories that are searched.
        now: Milliseconds since the epoch; what "yesterday" is counted from.
    """
    terms = tuple(dict.fromkeys(analyzer.terms(text)))
    names = " ".join([name for name in _NAME.findall(text) if name.casefold() not in CALENDAR_WORDS])
    # Most first persons stand between blanks; finding all tokens takes much longer.
    others = _FIRST_PERSON.isdisjoint(text.lower().split()) and _FIRST_PERSON.isdisjoint(tokenize(text))
    return Question(
        terms=terms,
        names=frozenset(analyzer.terms(names)).intersection(terms) if names else frozenset(),
        people=frozenset(terms if others else (*terms, ASKER)),
        asks_when=_WHEN.search(text) is not None,
        periods=periods(text, now=now),
    )
