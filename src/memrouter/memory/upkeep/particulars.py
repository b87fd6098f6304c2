"""What two texts must agree in to say the same: numbers, names, negations and most words. Pure."""

from dataclasses import dataclass
from typing import Final

import regex

from memrouter.memory.retrieval.dates import CALENDAR_WORDS
from memrouter.memory.retrieval.words import Analyzer, tokenize

_SENTENCE_START: Final = regex.compile(r"(?:^|[.!?\u2026:;\n\u3002\uff01\uff1f]|\b[QA]:)[\s\"'(\u201c\u00ab\-*>]*\Z")
_CAPITALISED: Final = regex.compile(r"\p{Lu}[\p{L}\p{M}\p{N}'\u2019-]*+")
_HAS_DIGIT: Final = regex.compile(r"\p{N}")
_LOOK_BACK: Final = 12

_NUMBER_WORDS: Final = (
    "zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion"
    " first second third fourth fifth sixth seventh eighth ninth tenth half twice"
    " zwei drei vier f\u00fcnf sechs sieben acht neun zehn elf zw\u00f6lf"
    " deux trois quatre cinq huit neuf dix onze douze dos tres cuatro cinco seis siete ocho nueve diez"
    " \u0434\u0432\u0430 \u0442\u0440\u0438 \u0447\u0435\u0442\u044b\u0440\u0435 \u043f\u044f\u0442\u044c"
)
_NEGATION_WORDS: Final = (
    "not no never none nor neither nobody nothing nowhere without cannot cant dont doesnt didnt wont isnt arent wasnt"
    " stopped quit hate hates dislike dislikes unlike former formerly longer except"
    " nicht kein keine keinen keiner keinem nie niemals ohne ne pas jamais sans ni nunca jam\u00e1s sin tampoco non mai"
    " senza n\u00e3o sem niet geen nooit zonder inte aldrig ikke aldri ej nie bez"
    " \u043d\u0435 \u043d\u0435\u0442 \u043d\u0438\u043a\u043e\u0433\u0434\u0430 \u0431\u0435\u0437"
    " \u0644\u0627 \u0644\u064a\u0633 \u043d\u0456"
)
_NUMBERS: Final = frozenset(_NUMBER_WORDS.split())
_NEGATIONS: Final = frozenset(_NEGATION_WORDS.split())
_CONTRACTED: Final = regex.compile(r"n['\u2019]t\Z")
_CJK_NEGATION: Final = regex.compile(
    r"[\u4e0d\u6ca1\u6c92\u7121\u65e0\u672a\u975e]|\u306a\u3044|\u307e\u305b\u3093|\uc548 |\uc5c6|\uc54a"
)


@dataclass(frozen=True, slots=True)
class Particulars:
    """What must not differ, and the words.

    Attributes:
        numbers: Everything with a digit, and numbers that are written out.
        names: Words with a capital inside a sentence, months and days, folded.
        negations: How many words say that something is not so.
        terms: Index terms.
    """

    numbers: frozenset[str]
    names: frozenset[str]
    negations: int
    terms: frozenset[str]

    @classmethod
    def of(cls, text: str, analyzer: Analyzer) -> "Particulars":
        """Return those of a text.

        Args:
            text: Any text.
            analyzer: For the language of the text.
        """
        tokens = tokenize(text)
        said = set(tokens)
        return cls(
            numbers=frozenset(token for token in said if _HAS_DIGIT.search(token) or token in _NUMBERS),
            names=frozenset(_names(text)) | (said & CALENDAR_WORDS),
            negations=sum(token in _NEGATIONS or _CONTRACTED.search(token) is not None for token in tokens)
            + len(_CJK_NEGATION.findall(text)),
            terms=frozenset(analyzer.terms(text)),
        )

    def agrees_with(self, other: "Particulars") -> bool:
        """Return whether nothing in one speaks against the other: one may be more exact, but not both in turn."""
        return (
            self.negations == other.negations
            and _nested(self.numbers, other.numbers)
            and _nested(self.names, other.names)
        )

    def overlap(self, other: "Particulars") -> float:
        """Return the share of their terms that both have, 0 to 1."""
        every = self.terms | other.terms
        return len(self.terms & other.terms) / len(every) if every else 0.0


def _names(text: str) -> set[str]:
    found = set()
    for match in _CAPITALISED.finditer(text):
        before = text[max(0, match.start() - _LOOK_BACK) : match.start()]
        if not (match.start() <= _LOOK_BACK and not before.strip()) and not _SENTENCE_START.search(before):
            found.add(match.group().casefold().removesuffix("'s").removesuffix("\u2019s"))
    return found - {"i", "i'm", "i\u2019m", "i've", "i\u2019ve", "i'd", "i\u2019d", "i'll", "i\u2019ll"}


def _nested(one: frozenset[str], other: frozenset[str]) -> bool:
    return one <= other or other <= one
