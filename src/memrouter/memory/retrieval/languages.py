"""Stop words of languages, and telling languages apart by them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice

from stop_words import safe_get_stop_words

SAMPLE_TOKENS = 400
"""Tokens that a language is told from."""
MARGIN = 1.5
"""How many times the stop words of English another language's must be, to be taken for the language."""

ENGLISH = "english"

_ENGLISH = """
a about above after again against all also am an and any are as at be because been before being below between both
but by can cannot could did do does doing done down during each few for from further get had has have having he her
here hers herself him himself his how i if in into is it its itself just let me more most my myself no nor not of
off on once only or other our ours ourselves out over own same shall she should so some such than that the their
theirs them themselves then there these they this those through to too under until up us very was we were what when
where which while who whom whose why will with would you your yours yourself yourselves
ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't he'd he'll he's here's how's i'd i'll i'm
i've isn't it'd it'll it's let's she'd she'll she's shouldn't that's there's they'd they'll they're they've wasn't
we'd we'll we're we've weren't what's when's where's who's why's won't wouldn't you'd you'll you're you've
"""
ENGLISH_STOP_WORDS = frozenset(_ENGLISH.split())


def stop_words(language: str) -> frozenset[str]:
    """Return the stop words of a language, folded; none where they are not known.

    Those of English are our own, with contractions; the others come from the package ``stop-words``.
    """
    if language == ENGLISH:
        return ENGLISH_STOP_WORDS
    return frozenset(word.casefold() for word in safe_get_stop_words(language))


class StopWords:
    """The stop words of several languages, by word; tells languages apart.

    Args:
        known: Stop words by language; English among them.
    """

    def __init__(self, known: Mapping[str, frozenset[str]]) -> None:
        self._languages_of: dict[str, list[str]] = {}
        for language, words in known.items():
            for word in words:
                self._languages_of.setdefault(word, []).append(language)

    def of(self, token: str) -> Sequence[str]:
        """Return the languages that a token is a stop word of."""
        return self._languages_of.get(token, ())

    def language(self, tokens: Iterable[str]) -> str:
        """Return the language that most stop words among the first SAMPLE_TOKENS tokens belong to; see ``most``.

        Args:
            tokens: Folded words of the text.
        """
        return most(chain.from_iterable(map(self.of, islice(tokens, SAMPLE_TOKENS))))


def most(languages: Iterable[str]) -> str:
    """Return the language that occurs most; English where there is none, and unless it does MARGIN times as often."""
    counts = Counter(languages)
    if not counts:
        return ENGLISH
    best, count = max(sorted(counts.items()), key=lambda item: item[1])
    return best if count >= 2 and count > MARGIN * counts[ENGLISH] else ENGLISH
